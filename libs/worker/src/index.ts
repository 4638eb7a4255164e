export {
  type DeviceName,
  sizeField,
  type WorkerConfig,
  workerFields,
  type WorkerRole,
} from "./config.ts";
export { runWorker, type WorkerService } from "./run-worker.ts";
