export { type KnownEvent, parseEvents } from "./events.ts";
export {
  DEMAND,
  type Forecast,
  type ForecastOptions,
  QUANTILES,
  type SuppliedDay,
} from "./forecast.ts";
export { fitForecast, Forecaster, type ForecasterOptions, type HourAhead } from "./forecaster.ts";
export { MEMBERS } from "./members.ts";
export {
  type Backtest,
  backtest,
  backtestOrigins,
  type BacktestRow,
  geometricMean,
  type Method,
  METHODS,
  type Origins,
  type Supplied,
} from "./backtest.ts";
