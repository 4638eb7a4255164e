export { fields, type IngressConfig } from "./config.ts";
export { type IngressService, runIngress } from "./run-ingress.ts";
