export { type ClusterView, readCluster, renderCluster } from "./cluster.ts";
export { createKey, type NewKey } from "./keys.ts";
export { runProgram } from "./program.ts";
