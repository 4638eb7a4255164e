/** Starts an engine on the first device of the list that computes. */

import os from "node:os";
import { type DeviceClass, FaultError } from "@millrace/protocol";
import { formatBytes } from "@millrace/std";
import { examineInChild } from "./child.ts";
import { candidates, type DeviceChoice, explain, missing, type PassedOver } from "./device.ts";
import { type Engine, ThreadEngine } from "./engine.ts";
import { ThreadLink } from "./link.ts";
import { defaultBudgetBytes, DriverMemory } from "./memory.ts";
import { probeFile } from "./probe-file.ts";
import type { SessionDevice } from "./session.ts";

export interface EngineOptions {
  /** `auto`: CUDA, else WebGPU, else an emulated device. */
  readonly device: DeviceChoice;
  /** Which GPU, as CUDA numbers them; 0 unless given. */
  readonly deviceIndex?: number;
  /** Threads of one run on the processor; all of its cores unless given. */
  readonly threads?: number;
  /**
   * Memory for models on a device that has no driver to ask; half of the machine's, or of the
   * container's, unless given.
   */
  readonly memoryBudgetBytes?: number;
  /**
   * Whether idle threads spin for work; not unless asked for. On cores that nothing else uses,
   * spinning saves up to a third of small batches and nothing of large ones; on shared cores it
   * multiplies their time.
   */
  readonly spin?: boolean;
  /**
   * An emulated device takes at least this long for each row, microseconds; no pace unless given.
   */
  readonly rowUs?: number;
}

/** A process with a broken GPU driver may hang, or fill memory, while it starts. */
const PROBE_LIMITS = { timeoutMs: 60_000, memoryBytesMax: 16 * 1024 ** 3 };

/** @throws FaultError with UNSUPPORTED and every device's reason when none of them starts. */
export async function openEngine(options: EngineOptions): Promise<Engine> {
  const passedOver: PassedOver[] = [];
  for (const device of candidates(options.device)) {
    const on: SessionDevice = {
      device,
      deviceIndex: options.deviceIndex ?? 0,
      threads: options.threads ?? os.availableParallelism(),
      spin: options.spin ?? false,
      rowUs: options.rowUs ?? 0,
    };
    const opened = await openOn(on, options.memoryBudgetBytes, passedOver);
    if (typeof opened !== "string") return opened;
    passedOver.push({ device, reason: opened });
  }
  const reasons = passedOver.map(({ device, reason }) => `${device}: ${reason}`).join("; ");
  throw new FaultError("UNSUPPORTED", `no device starts: ${reasons}`);
}

/** The engine, or the reason why this device does not start. */
async function openOn(
  on: SessionDevice,
  declaredBytes: number | undefined,
  passedOver: readonly PassedOver[],
): Promise<Engine | string> {
  const accelerated = on.device === "cuda" || on.device === "webgpu";
  let driver: DriverMemory | undefined;
  if (accelerated) {
    const lacks = missing(on.device, on.deviceIndex);
    if (lacks !== undefined) return lacks;
    // Or CUDA numbers the GPUs by speed, and nvidia-smi by place.
    process.env["CUDA_DEVICE_ORDER"] ??= "PCI_BUS_ID";
    const reason = await tryInChild(on);
    if (reason !== undefined) return reason;
    const asked = new DriverMemory(on.deviceIndex);
    if ((await asked.read(0)) !== undefined) driver = asked;
    if (driver === undefined && declaredBytes === undefined) {
      return "nvidia-smi does not tell its free memory, and no memory budget is declared";
    }
  }
  const link = await ThreadLink.open(on);
  if (typeof link === "string") return explain(on.device, link);
  return new ThreadEngine({
    deviceClass: on.device,
    deviceName: nameOf(on.device),
    link,
    driver,
    budgetBytes: declaredBytes ?? defaultBudgetBytes(os.totalmem()),
    passedOver,
  });
}

async function tryInChild(on: SessionDevice): Promise<string | undefined> {
  const outcome = await examineInChild(probeFile(), on, PROBE_LIMITS);
  switch (outcome.kind) {
    case "examined": {
      const { examination } = outcome;
      if (!examination.ok) return explain(on.device, examination.message);
      const failed = examination.trials.find((trial) => "message" in trial);
      return failed === undefined ? undefined : explain(on.device, failed.message);
    }
    case "timedOut":
      return `it did not start within ${PROBE_LIMITS.timeoutMs / 1000} s`;
    case "outgrew":
      return `it took more than ${formatBytes(PROBE_LIMITS.memoryBytesMax)} of memory to start`;
    case "died":
      return `starting it ended the process (${outcome.how})`;
  }
}

function nameOf(device: DeviceClass): string {
  const processor = os.cpus()[0]?.model.trim() ?? process.arch;
  switch (device) {
    case "cuda":
      return "NVIDIA GPU";
    case "webgpu":
      return "WebGPU adapter";
    case "emulated":
      return `emulated on ${processor}`;
    case "cpu":
      return processor;
  }
}
