export { rowsPerSecond, type Timed } from "./capacity.ts";
export { ElasticCore, type ElasticOptions, FLEET_POLICIES, type FleetPolicy } from "./core.ts";
export { LoadHistory, type ModelHistory } from "./load-history.ts";
export type { ElasticEffect, ElasticEvent, Pool, ResidentTimes } from "./events.ts";
