export { type Bus, type BusCounters, connectBus, type Subscribed } from "./bus.ts";
export type { BusOptions } from "./connecting.ts";
export { Connections } from "./connections.ts";
export {
  type Micro,
  type MicroEndpoint,
  type MicroOptions,
  type MicroStats,
  serveMicro,
} from "./micro.ts";
export { IdTakenError, type ProcessIdentity, watchNamesake, yieldsTo } from "./namesake.ts";
export { Outbox, type OutboxOptions } from "./outbox.ts";
