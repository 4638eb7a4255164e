/**
 * Which device an engine runs on, and why not another. An accelerator is tried in a process of its
 * own first: a driver that crashes or hangs must not take the worker with it.
 */

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import type { DeviceClass } from "@millrace/protocol";
import { shortMessage } from "./failure.ts";

export type DeviceChoice = "auto" | DeviceClass;

/** In the order in which they are tried. */
export const candidates = (choice: DeviceChoice): readonly DeviceClass[] =>
  choice === "auto" ? ["cuda", "webgpu", "emulated"] : [choice];

/** A device that could not be used, in words that say what to do about it. */
export interface PassedOver {
  readonly device: DeviceClass;
  readonly reason: string;
}

const CUDA_PROVIDER = "libonnxruntime_providers_cuda.so";
const CUDA_REMEDY = "run the install script of onnxruntime-node";
const NO_CUDA_PROVIDER = `${CUDA_PROVIDER} is not beside onnxruntime: ${CUDA_REMEDY}`;

/** Why a device cannot start, where a look at the files is enough: no process is started for it. */
export function missing(device: DeviceClass): string | undefined {
  if (device !== "cuda" || process.platform !== "linux" || cudaProviderInstalled())
    return undefined;
  return NO_CUDA_PROVIDER;
}

/** onnxruntime's message, made plain where its meaning is known. */
export function explain(device: DeviceClass, message: string): string {
  if (device === "cuda" && /failed to load shared library|backend not found/i.test(message)) {
    return cudaProviderInstalled()
      ? `${CUDA_PROVIDER} is there but does not load: CUDA 12 or cuDNN 9 is missing`
      : NO_CUDA_PROVIDER;
  }
  if (
    device === "cuda" &&
    /no CUDA-capable device|cudaErrorNoDevice|failure 100\b/i.test(message)
  ) {
    return "CUDA finds no GPU";
  }
  if (
    device === "webgpu" &&
    /no supported adapters|failed to get a WebGPU adapter/i.test(message)
  ) {
    return "WebGPU finds no adapter: it needs a GPU with a Vulkan driver, and libvulkan.so.1";
  }
  return shortMessage(message);
}

function cudaProviderInstalled(): boolean {
  const root = path.dirname(
    createRequire(import.meta.url).resolve("onnxruntime-node/package.json"),
  );
  return existsSync(path.join(root, "bin/napi-v6", process.platform, process.arch, CUDA_PROVIDER));
}
