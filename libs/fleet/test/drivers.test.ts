/** The conformance suite on the drivers that need nothing but this machine. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FakeHost, HookFleet, InstanceFleet, ProcessHost } from "../src/index.ts";
import { conformance, type FleetWorld } from "./conformance.ts";
import { POOLS } from "./pools.ts";

const nowUs = (): number => Math.floor(performance.now() * 1000);

conformance({
  name: "fake",
  pollMs: 1,
  open: async (): Promise<FleetWorld> => {
    const host = new FakeHost();
    const open = (): InstanceFleet => new InstanceFleet({ host, pools: POOLS, nowUs });
    return {
      driver: open(),
      reopen: async () => open(),
      lose: async (id) => host.lose(id),
      cut: async () => host.cut(),
      heal: async () => host.heal(),
      [Symbol.asyncDispose]: async () => undefined,
    };
  },
});

conformance({
  name: "processes",
  open: async (): Promise<FleetWorld> => {
    const host = new ProcessHost({
      launch: () => ({ command: "sleep", args: ["600"] }),
      drainMsMax: 2_000,
    });
    const driver = new InstanceFleet({ host, pools: POOLS, nowUs });
    return {
      driver,
      lose: async (id) => {
        const pid = host.pidOf(id);
        if (pid === undefined) throw new Error(`${id} has no process`);
        process.kill(pid, "SIGKILL");
      },
      [Symbol.asyncDispose]: () => driver.close(),
    };
  },
});

const HOOK = fileURLToPath(new URL("hook.ts", import.meta.url));

conformance({
  name: "command",
  members: 2,
  open: async (): Promise<FleetWorld> => {
    const directory = await mkdtemp(join(tmpdir(), "millrace-hook-"));
    const state = join(directory, "fleet.json");
    const lost = join(directory, "lost");
    const open = (): HookFleet =>
      new HookFleet({ command: process.execPath, args: [HOOK, state], pools: POOLS });
    const driver = open();
    return {
      driver,
      reopen: async () => open(),
      lose: (id) => writeFile(lost, id),
      cut: () => writeFile(join(directory, "cut"), ""),
      heal: () => rm(join(directory, "cut")),
      [Symbol.asyncDispose]: async () => {
        await driver.close();
        await rm(directory, { recursive: true });
      },
    };
  },
});
