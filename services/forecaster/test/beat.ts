/** A worker's heartbeat, sound unless a test says otherwise. */

import type { WorkerHeartbeat } from "@millrace/protocol";

export const beat = (change: Partial<WorkerHeartbeat>): WorkerHeartbeat => ({
  v: 1,
  id: "gpu-worker-1",
  role: "gpu-worker",
  kind: "gpu-l4",
  zone: "east",
  lifecycle: "spot",
  incarnation: 7,
  beat: 1,
  state: "ready",
  device: {
    class: "emulated",
    name: "emulated",
    memoryTotalBytes: 1,
    memoryFreeBytes: 1,
    memorySource: "budget",
  },
  progress: 0,
  inFlight: 0,
  backlogUs: 0,
  assignments: {},
  modelsRevision: 0,
  ...change,
});
