/**
 * Which device an engine runs on, and why not another. An accelerator is tried in a process of its
 * own first: a driver that crashes or hangs must not take the worker with it.
 */

import type { DeviceClass } from "@millrace/protocol";
import { cudaProviderInstalled, cudaProviderPath, missingLibraries } from "./cuda-provider.ts";
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

const NO_CUDA_PROVIDER = "onnxruntime's CUDA provider is not installed: `millrace cuda` does that";

/** Why a device cannot start, where that is known without a process that tries. */
export function missing(device: DeviceClass, deviceIndex: number): string | undefined {
  // Its memory would be read of the one, and its models would lie on the other.
  if (device === "webgpu" && deviceIndex > 0) return "WebGPU takes the first GPU only";
  if (device !== "cuda" || process.platform !== "linux" || cudaProviderInstalled())
    return undefined;
  return NO_CUDA_PROVIDER;
}

/** onnxruntime's message, made plain where its meaning is known. */
export function explain(device: DeviceClass, message: string): string {
  if (device === "cuda" && /failed to load shared library|backend not found/i.test(message)) {
    return cudaProviderInstalled() ? providerNeeds() : NO_CUDA_PROVIDER;
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

/** What keeps a provider that is installed from loading, with the remedy. */
function providerNeeds(): string {
  const lacking = missingLibraries(cudaProviderPath());
  const what = lacking.length === 0 ? "" : `: ${lacking.join(", ")} not found`;
  return `onnxruntime's CUDA provider does not load${what}; it needs CUDA 13 and cuDNN 9`;
}
