export { AgentFleet, type AgentFleetOptions } from "./agent-fleet.ts";
export { fields } from "./config.ts";
