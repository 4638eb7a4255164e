export { nowUs } from "./clock.ts";
export {
  commonFields,
  ConfigError,
  type ConfigFields,
  type ConfigRow,
  type ConfigValues,
  defineConfig,
  describeConfig,
  readConfig,
} from "./config.ts";
export {
  choiceField,
  type Field,
  flagField,
  listField,
  nameField,
  optionalField,
  secretFileField,
  textField,
  wholeField,
} from "./fields.ts";
export { createLogger, type Logger, type LogLevel } from "./logger.ts";
export { BATCH_BUCKETS, createMetrics, LATENCY_BUCKETS_S, type Metrics } from "./metrics.ts";
export type { Count, Distribution, Family, Labels, Level } from "./series.ts";
export { type Health, type MetricsServer, serveMetrics } from "./metrics-server.ts";
export { type Core, createPump, type Pump, type PumpOptions, type Woke } from "./pump.ts";
export { EXIT_CODES, PoisonedDeviceError, runService, type ServiceContext } from "./service.ts";
export { clockField, REAL_CLOCK, type WallClock } from "./wall-clock.ts";
