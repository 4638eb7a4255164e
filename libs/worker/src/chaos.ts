/** The faults that a worker can be given from within; only where faults are enabled. */

import type { Bus } from "@millrace/bus";
import { clockHook, type HookHandler, serveHooks } from "@millrace/faults";
import { type Device, isAccelerator } from "@millrace/protocol";
import { nowUs } from "@millrace/runtime";
import type { Log } from "@millrace/std";
import type { Worker } from "./assembly.ts";
import type { WorkerRole } from "./config.ts";
import type { FaultyEngine } from "./faulty-engine.ts";

export interface ChaosParts {
  readonly bus: Bus;
  readonly role: WorkerRole;
  readonly id: string;
  readonly engine: FaultyEngine;
  readonly device: Device;
  readonly beginDrain: Worker["beginDrain"];
  readonly log: Log;
}

export function serveWorkerHooks(parts: ChaosParts): void {
  const { bus, role, id, engine, device, beginDrain, log } = parts;
  // A real device has faults of its own; what is faked there would hide them.
  const real = isAccelerator(device.class) && device.class !== "emulated";
  const faked =
    (handler: HookHandler): HookHandler =>
    (command) =>
      real ? `a ${device.class} device is real, and its faults are not faked` : handler(command);
  serveHooks({
    bus,
    role,
    id,
    log,
    handlers: {
      "clock-skew": clockHook,
      "gpu-lost": faked(() => {
        engine.lose();
        return () => engine.restore();
      }),
      "gpu-oom": faked(({ options }) => {
        const { rowsAbove, probability } = options;
        engine.outOfMemory = {
          rowsAbove: Number(rowsAbove ?? 0),
          probability: Number(probability ?? 1),
          random: Math.random,
        };
        return () => (engine.outOfMemory = undefined);
      }),
      // It has been told of its end, and that cannot be taken back.
      "spot-notice": ({ durationUs }) => {
        beginDrain("spot notice, injected", nowUs() + durationUs);
        return () => undefined;
      },
    },
  });
}
