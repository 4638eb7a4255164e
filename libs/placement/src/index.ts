export { DeviceState, type Outstanding } from "./device.ts";
export {
  type CrossingPrice,
  type Place,
  reluctance,
  type Wish,
  worthWaitingNearUs,
} from "./preference.ts";
export { DevicePool, type PlacementOptions } from "./pool.ts";
