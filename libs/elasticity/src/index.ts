export { rowsPerSecond, type Timed } from "./capacity.ts";
export { ElasticCore, type ElasticOptions, FLEET_POLICIES, type FleetPolicy } from "./core.ts";
export { LoadHistory, type LoadPart, type ModelHistory } from "./load-history.ts";
export type { ElasticEffect, ElasticEvent, Foretold, Pool, ResidentTimes } from "./events.ts";
