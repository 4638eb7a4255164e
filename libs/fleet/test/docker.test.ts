/**
 * The conformance suite on containers. `test/docker/run.sh` sets `MILLRACE_TEST_DOCKER`; it takes
 * half a minute, so it is skipped without, as where no engine has a usable image.
 */

import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { DockerHost, InstanceFleet } from "../src/index.ts";
import { conformance, type FleetWorld } from "./conformance.ts";
import { POOLS } from "./pools.ts";

/** Base images of the project's own Dockerfile, of which one is there after a build. */
const IMAGES = ["debian:bookworm-slim", "node:24-bookworm-slim"];
const PROBE_MS_MAX = 5_000;

const docker = (...args: readonly string[]): { readonly status: number | null } =>
  spawnSync("docker", args, { stdio: "ignore", timeout: PROBE_MS_MAX });
const wanted = (process.env["MILLRACE_TEST_DOCKER"] ?? "") !== "";
const image = wanted
  ? IMAGES.find((name) => docker("image", "inspect", name).status === 0)
  : undefined;

conformance({
  name: "docker",
  members: 2,
  pollMs: 50,
  skipped: !wanted
    ? "MILLRACE_TEST_DOCKER is not set"
    : image === undefined
      ? `no engine here has ${IMAGES.join(" or ")}`
      : undefined,
  open: () => open(image ?? ""),
});

async function open(base: string): Promise<FleetWorld> {
  const fleet = `test-${randomUUID().slice(0, 8)}`;
  const away = { value: false };
  const connect = (): InstanceFleet => {
    const host = new DockerHost({
      fleet,
      templateOf: () => ({ image: base, command: ["sleep", "600"] }),
      drainMsMax: 2_000,
      env: () => (away.value ? { ...process.env, DOCKER_HOST: "tcp://127.0.0.1:9" } : process.env),
    });
    const nowUs = (): number => Math.floor(performance.now() * 1000);
    return new InstanceFleet({ host, pools: POOLS, nowUs });
  };
  const driver = connect();
  return {
    driver,
    reopen: async () => connect(),
    lose: async (id) => void docker("rm", "--force", id),
    cut: async () => {
      away.value = true;
    },
    heal: async () => {
      away.value = false;
    },
    [Symbol.asyncDispose]: async () => {
      await driver.close();
      const filter = `label=millrace.fleet=${fleet}`;
      const left = spawnSync("docker", ["ps", "-aq", "--filter", filter]).stdout.toString();
      const ids = left.split("\n").filter((id) => id !== "");
      if (ids.length > 0) docker("rm", "--force", ...ids);
    },
  };
}
