#!/usr/bin/env bash
# Runs deploy/compose.yaml for real, in a project of its own: the example models are served, only
# the ingress is published, containers are confined, and a killed worker or scheduler costs no
# request. Then the same with compose.ha.yaml: nor does a killed NATS server.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
offline=../shared/tools/docker-offline.sh
project="millrace-test-$$"
export MILLRACE_PORT=$((20000 + RANDOM % 10000)) COMPOSE_ANSI=never COMPOSE_PROGRESS=plain
files=(-f deploy/compose.yaml)
compose() { docker compose -p "$project" "${files[@]}" "$@"; }
skip() { echo "skipped: $1"; exit 0; }
fail() { echo "FAILED: $1"; compose ps -a; compose logs --tail 30; exit 1; }

base=node:24-bookworm-slim
if ! docker info >/dev/null 2>&1 || ! docker image inspect $base >/dev/null 2>&1; then
  # Where no registry is reached, stand-ins for the base images are built from package registries.
  if ! docker pull -q $base >/dev/null 2>&1; then
    [ -f "$offline" ] || skip "no container engine, or no registry, on this machine"
    # apt tidies its folder of lists before it reads them, and the list of sources may lie there.
    keep=$(mktemp) && echo 'APT::Get::List-Cleanup "false";' >"$keep"
    APT_CONFIG=$keep bash "$offline" up >/dev/null || skip "the container engine did not start"
  fi
fi
docker compose version >/dev/null 2>&1 || skip "docker has no compose plugin"
if ! docker image inspect nats:2.14.5-alpine >/dev/null 2>&1 &&
  ! docker pull -q nats:2.14.5-alpine >/dev/null 2>&1; then
  server=$(command -v nats-server || ls -d .millrace/cache/nats-server-*/nats-server | tail -n 1)
  bash "$offline" nats 2.14.5 "$server" >/dev/null
fi

trap 'compose down -v --timeout 5 >/dev/null 2>&1 || compose down -v --timeout 5' EXIT
url="http://127.0.0.1:$MILLRACE_PORT"
# Starts the cluster and waits until its examples are served; sets the key.
start() {
  local state
  compose up -d --build --quiet-pull >/dev/null 2>&1 || fail "compose up"
  for _ in $(seq 120); do
    state=$(compose ps -a examples --format '{{.State}} {{.ExitCode}}')
    [ "$state" = "exited 0" ] && break
    sleep 1
  done
  [ "$state" = "exited 0" ] || fail "the example models were not served: $state"
  key=$(compose run --rm --entrypoint cat ctl /run/millrace/admin/api-key 2>/dev/null)
}

echo "building and starting on port $MILLRACE_PORT"
start
# ask: the status of a prediction with a deadline of five seconds
ids='{"name":"ids","datatype":"INT64","shape":[1,3],"data":[301,19,599]}'
body="{\"inputs\":[$ids],\"parameters\":{\"timeout\":5000000}}"
status_of() { curl -s -o /dev/null -w '%{http_code}\n' -m 10 "$@"; }
ask() { status_of -H "Authorization: Bearer $key" -d "$body" "$url/v2/models/sms-spam/infer"; }
[ "$(ask)" = 200 ] || fail "sms-spam does not answer"
picture=libs/examples/models/digits/seven.png
compose run --rm ctl infer digits --image $picture 2>/dev/null | grep -q '7 ' ||
  fail "digits does not see a seven"
[ "$(status_of "$url/v2/models/digits")" = 401 ] || fail "no key is needed"

ours="label=com.docker.compose.project=$project"
published=$(docker ps --filter "$ours" --format '{{.Ports}}' | grep -c -- '->')
[ "$published" = 1 ] || fail "$published containers publish a port"
for container in $(compose ps -q); do
  confined='{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}'
  [ "$(docker inspect "$container" --format "$confined")" = "1000:1000 true [ALL]" ] ||
    fail "$container is not confined"
done
echo "served, one port published, containers confined"

# The process below the container's init, by its id on this host: a crash, which the engine ends
# with a restart.
crash() {
  local init
  init=$(docker inspect "$(compose ps -q "$1")" --format '{{.State.Pid}}')
  kill -9 $(cat "/proc/$init/task/$init/children")
}
# A container that was started again by the engine since, and is healthy.
is_back() {
  local state='{{.RestartCount}} {{.State.Health.Status}}'
  [ "$(docker inspect "$(compose ps -aq "$1")" --format "$state")" = "1 healthy" ]
}
# Each is killed, 20 requests are asked meanwhile, and it returns.
survive() {
  local service status
  for service in "$@"; do
    crash "$service"
    for _ in $(seq 20); do
      status=$(ask)
      [ "$status" = 200 ] || fail "a request got $status after $service was killed"
    done
    for _ in $(seq 60); do
      is_back "$service" && break
      sleep 1
    done
    is_back "$service" || fail "$service did not return"
    echo "$service killed: 20 of 20 requests answered, and it is back"
  done
}
survive gpu-worker scheduler-1 cpu-worker scheduler-2

compose down -v --timeout 5 >/dev/null 2>&1
files+=(-f deploy/compose.ha.yaml)
echo "the same with three NATS servers"
start
survive nats nats-2 nats-3

# The fleet driver that starts workers as containers, on the same engine.
MILLRACE_TEST_DOCKER=true npx vitest run --project unit libs/fleet/test/docker.test.ts ||
  fail "the docker driver does not conform"
