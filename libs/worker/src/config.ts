/** What a worker is told: the common variables, its device, and its cache of models. */

import { availableParallelism } from "node:os";
import {
  choiceField,
  commonFields,
  type ConfigValues,
  defineConfig,
  type Field,
  optionalField,
  textField,
  wholeField,
} from "@millrace/runtime";
import { fail, ok } from "@millrace/std";
import { machineFields } from "./machine-fields.ts";

export type WorkerRole = "gpu-worker" | "cpu-worker";

const DEVICES = ["auto", "cuda", "webgpu", "emulated", "cpu"] as const;
export type DeviceName = (typeof DEVICES)[number];

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

/** A size in bytes, as `4096`, `512MiB` or `1.5GiB`. */
export function sizeField(
  variable: string,
  options: {
    readonly min: number;
    readonly help: string;
    readonly default?: { readonly value: number; readonly text: string };
  },
): Field<number> {
  const expects = "a size in bytes such as 4096, 512MiB or 24GiB";
  const fallback = options.default;
  return {
    variable,
    help: options.help,
    expects,
    ...(fallback === undefined ? {} : { fallback }),
    parse: (text) => {
      const [, digits = "", unit = "none"] = /^(\d+(?:\.\d+)?)\s?([KMGT]iB)?$/.exec(text) ?? [];
      const value = Math.round(Number(digits) * (UNITS[unit === "none" ? "" : unit] ?? 0));
      if (digits === "" || !Number.isSafeInteger(value)) return fail("");
      return value >= options.min ? ok(value) : fail(`at least ${options.min}`);
    },
  };
}

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** The fields of a worker's configuration; `device` is the role's usual one. */
export const workerFields = (role: WorkerRole, device: DeviceName) =>
  defineConfig({
    ...commonFields(role),
    device: choiceField("MILLRACE_DEVICE", {
      choices: DEVICES,
      default: device,
      help: "what runs the models; auto takes CUDA, then WebGPU, else an emulated device",
    }),
    deviceIndex: wholeField("MILLRACE_DEVICE_INDEX", {
      min: 0,
      max: 255,
      default: 0,
      help: "which GPU, as CUDA numbers them",
    }),
    deviceMemoryBytes: optionalField(
      sizeField("MILLRACE_DEVICE_MEMORY", {
        min: MIB,
        help: "memory for models where no driver tells it; half of the machine's unless given",
      }),
    ),
    emulatedRowUs: wholeField("MILLRACE_EMULATED_ROW_US", {
      min: 0,
      max: 10_000_000,
      default: 0,
      help: "an emulated device takes this long for each row, in microseconds: a pace to scale by",
    }),
    threads: {
      ...wholeField("MILLRACE_THREADS", {
        min: 1,
        max: 1024,
        help: "threads of one run on the processor",
      }),
      // In words: the reference is the same on every machine.
      fallback: { value: availableParallelism(), text: "all cores" },
    },
    cacheDirectory: textField("MILLRACE_CACHE_DIR", {
      default: ".millrace/cache",
      help: "models are kept below it, in a folder of the worker's id",
    }),
    cacheBytesMax: sizeField("MILLRACE_CACHE_BYTES", {
      min: 0,
      default: { value: 10 * GIB, text: "10GiB" },
      help: "the cache's bound; the least recently used models make way",
    }),
    ...machineFields,
    drainMs: wholeField("MILLRACE_DRAIN_MS", {
      min: 0,
      max: 25_000,
      default: 25_000,
      help: "how long a drain may finish what is held; the rest is given back",
    }),
  });

export type WorkerConfig = ConfigValues<ReturnType<typeof workerFields>>;
