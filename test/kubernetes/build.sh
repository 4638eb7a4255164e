#!/usr/bin/env bash
# Builds what the tests of libs/fleet need for a real control plane, and helm, into a folder:
#   test/kubernetes/build.sh DIRECTORY
#   MILLRACE_TEST_KUBERNETES=DIRECTORY MILLRACE_TEST_HELM=DIRECTORY/helm \
#     npx vitest run --project unit libs/fleet
# Needs Go, its module proxy, and Debian's etcd-server (or an etcd on the path); takes ten minutes.
set -euo pipefail
kubernetes=1.35.4
helm=3.21.4
for program in go etcd; do
  if ! command -v "$program" >/dev/null; then
    echo "$program is not on the path (Debian: golang, etcd-server)" >&2
    exit 1
  fi
done
directory=$(mkdir -p "$1" && cd "$1" && pwd)
source=$(mktemp -d)
trap 'rm -rf "$source"' EXIT

cd "$source"
export CGO_ENABLED=0 GOFLAGS="-mod=mod -buildvcs=false" GOBIN="$directory"
# Kubernetes takes its libraries from folders that the proxy does not have: name their versions.
go mod download -json "k8s.io/kubernetes@v$kubernetes" >module.json
gomod=$(sed -nE 's/.*"GoMod": "(.*)".*/\1/p' module.json)
{
  printf 'module build\n'
  grep -E '^(go|godebug) ' "$gomod"
  printf 'require k8s.io/kubernetes v%s\nreplace (\n' "$kubernetes"
  sed -nE 's#^\s+(k8s.io/[a-z0-9-]+) => ./staging.*#\1#p' "$gomod" | while read -r library; do
    printf '  %s => %s v0.%s\n' "$library" "$library" "${kubernetes#1.}"
  done
  printf ')\n'
} >go.mod
version="-X k8s.io/component-base/version.gitVersion=v$kubernetes"
for program in kube-apiserver kube-controller-manager; do
  go build -trimpath -ldflags "-s -w $version" -o "$directory/$program" \
    "k8s.io/kubernetes/cmd/$program"
done
(cd / && go install "helm.sh/helm/v3/cmd/helm@v$helm")
ln -sf "$(command -v etcd)" "$directory/etcd"
ls "$directory"
