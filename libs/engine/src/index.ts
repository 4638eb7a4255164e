export type { ChildLimits } from "./child.ts";
export { installCudaProvider, missingLibraries } from "./cuda-provider.ts";
export type { DeviceChoice, PassedOver } from "./device.ts";
export type { Engine, EngineResult, Loaded, NotLoaded, Turn } from "./engine.ts";
export { type InspectedModel, inspectModel } from "./inspect.ts";
export { estimateBytes } from "./memory.ts";
export type { EngineItem } from "./merge.ts";
export { type EngineOptions, openEngine } from "./open.ts";
