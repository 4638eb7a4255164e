/** One GPU as a device of the cluster: CUDA, then WebGPU, else an emulated device. */

import { workerFields } from "@millrace/worker";

export const fields = workerFields("gpu-worker", "auto");
