export { type ClusterView, readCluster, renderCluster } from "./cluster.ts";
export { createKey, type NewKey } from "./keys.ts";
export { runProgram } from "./program.ts";
export { serveFleet, UP_AGENT } from "./up/elastic/fleet-agent.ts";
export { dayPrices, renderPrices } from "./up/elastic/prices.ts";
