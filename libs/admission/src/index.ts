export { IngressCore } from "./core.ts";
export type {
  ClientLimits,
  IngressCounters,
  IngressEffect,
  IngressEvent,
  Request,
  Served,
} from "./events.ts";
export { INGRESS_DEFAULTS, type IngressOptions } from "./options.ts";
