export {
  type DeviceView,
  isShortOfRoom,
  type ModelView,
  planResidency,
  RESIDENCY_DEFAULTS,
  type ResidencyAction,
  type ResidencyOptions,
  type ResidencyView,
  type ResidentView,
} from "./plan.ts";
