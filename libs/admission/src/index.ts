export { IngressCore, type IngressCounters } from "./core.ts";
export type { ClientLimits, IngressEffect, IngressEvent, Request, Served } from "./events.ts";
export { INGRESS_DEFAULTS, type IngressOptions } from "./options.ts";
