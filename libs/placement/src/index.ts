export { DeviceState, type Outstanding } from "./device.ts";
export { DevicePool, type PlacementOptions } from "./pool.ts";
