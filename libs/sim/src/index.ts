export { drawScenario, type Incident, type Scenario } from "./scenario.ts";
export { type Report, simulate, type SimulateOptions } from "./simulate.ts";
export { type Defence, DEFENCES } from "./world.ts";
