/** `millrace cuda`: what a gpu-worker needs for CUDA and onnxruntime's package does not bring. */

import { installCudaProvider, missingLibraries } from "@millrace/engine";
import type { Command } from "commander";
import { CommandError } from "./failure.ts";

const NEEDS = "it needs CUDA 13 and cuDNN 9, and a driver of NVIDIA";

export function registerCuda(program: Command): void {
  program
    .command("cuda")
    .summary("install onnxruntime's CUDA provider")
    .description(
      "Downloads onnxruntime's CUDA provider (235 MiB, from PyPI, checked by its SHA-256) and " +
        `puts it beside onnxruntime. Gpu-workers that start afterwards use it; ${NEEDS}.`,
    )
    .action(install);
}

async function install(): Promise<void> {
  const report = (line: string): void => console.error(line);
  const file = await installCudaProvider({ report }).catch((error: unknown) => {
    throw new CommandError(
      `the CUDA provider was not installed: ${causeOf(error)}`,
      "try again; without it a gpu-worker takes WebGPU, or an emulated device",
    );
  });
  console.log(`the CUDA provider is at ${file}`);
  const missing = missingLibraries(file);
  if (missing.length === 0) return;
  console.log(`this machine lacks ${missing.join(", ")}: ${NEEDS}`);
}

/** The network's reason hides in the cause of a failed fetch. */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error ? `${error.message} (${cause.message})` : error.message;
}
