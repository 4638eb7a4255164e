export { Arrivals } from "./arrivals.ts";
export { type BatchLimits, formBatch, type Formed, type Placed, worthWaitingUs } from "./form.ts";
export { Profile } from "./profile.ts";
export { ModelQueue, type Queued, type QueueOptions } from "./queue.ts";
