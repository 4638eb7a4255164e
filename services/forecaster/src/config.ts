/** What a forecaster is told. */

import {
  choiceField,
  clockField,
  commonFields,
  type ConfigValues,
  defineConfig,
  flagField,
  nameField,
  optionalField,
  textField,
  wholeField,
} from "@millrace/runtime";
import { BATCH_WAIT_SECONDS_MAX } from "@millrace/costing";
import { FLEET_POLICIES } from "@millrace/elasticity";
import { PROPHET_PARTS } from "./prophet-days.ts";

// It takes no faults itself.
const { chaos: _, ...common } = commonFields("forecaster");

export const fields = defineConfig({
  ...common,
  fleet: choiceField("MILLRACE_FLEET", {
    choices: ["none", "agent", "docker", "kubernetes", "command"],
    default: "none",
    help: "who starts and ends workers; with none the plan is advice",
  }),
  fleetAgent: nameField("MILLRACE_FLEET_AGENT", {
    default: "up",
    help: "for the agent: its name in mr.fleet.<name>; `millrace up --elastic` is one",
  }),
  fleetFile: optionalField(
    textField("MILLRACE_FLEET_FILE", {
      help: "for docker, kubernetes and command: YAML or JSON with the pools and their start",
    }),
  ),
  priceBook: optionalField(
    textField("MILLRACE_PRICE_BOOK", {
      help: "JSON file of kinds, zones and prices; public list prices unless given",
    }),
  ),
  eventsFile: optionalField(
    textField("MILLRACE_EVENTS_FILE", {
      help: "CSV file of holidays and known events that the forecast takes into account",
    }),
  ),
  prophet: choiceField("MILLRACE_FORECAST_PROPHET", {
    choices: PROPHET_PARTS,
    default: "off",
    help: "compare fits Prophet beside the ensemble, for `forecast show`; member lets it take part",
  }),
  policy: choiceField("MILLRACE_FLEET_POLICY", {
    choices: FLEET_POLICIES,
    default: "forecast",
    help: "step-rule and reactive, which look at the load alone, are there to compare",
  }),
  limitsFile: optionalField(
    textField("MILLRACE_MODEL_LIMITS_FILE", {
      help:
        "JSON file of models' own limits: workersMin, workersMax, budgetPerHour, " +
        "batchWaitSeconds, objectiveMs",
    }),
  ),
  batchWaitSeconds: wholeField("MILLRACE_BATCH_WAIT_S", {
    min: 0,
    max: BATCH_WAIT_SECONDS_MAX,
    default: 0,
    help: "how long jobs and other batch work may wait for a trough; 0 adds workers for them at once",
  }),
  advisory: flagField("MILLRACE_ADVISORY", {
    default: false,
    help: "says what it would do and does not do it",
  }),
  spot: flagField("MILLRACE_SPOT", {
    default: false,
    help: "buys spot workers beyond an on-demand base, where they are cheaper",
  }),
  objectiveMs: wholeField("MILLRACE_OBJECTIVE_MS", {
    min: 1,
    max: 600_000,
    default: 200,
    help: "how long a request may take; capacity is measured at it",
  }),
  workersMin: wholeField("MILLRACE_WORKERS_MIN", {
    min: 0,
    max: 10_000,
    default: 1,
    help: "workers of each kind that stay without any load; 0 lets the fleet end",
  }),
  workersMax: wholeField("MILLRACE_WORKERS_MAX", {
    min: 1,
    max: 10_000,
    default: 100,
    help: "workers of each kind at most",
  }),
  intervalMs: wholeField("MILLRACE_ELASTIC_INTERVAL_MS", {
    min: 100,
    max: 600_000,
    default: 5_000,
    help: "how often the reactive loop looks",
  }),
  holdSeconds: wholeField("MILLRACE_ELASTIC_HOLD_S", {
    min: 0,
    max: 86_400,
    default: 600,
    help: "a worker goes after this time without need of it",
  }),
  budgetPerHour: optionalField(
    wholeField("MILLRACE_BUDGET_MICROS_PER_HOUR", {
      min: 1,
      max: 10 ** 12,
      help: "what the fleet may cost by the hour, in millionths of the price book's currency",
    }),
  ),
  budgetPerMonth: optionalField(
    wholeField("MILLRACE_BUDGET_MICROS_PER_MONTH", {
      min: 1,
      max: 10 ** 15,
      help: "what a calendar month may cost; `mr.evt.budget` says when it is or will be more",
    }),
  ),
  clock: clockField(),
});

export type ForecasterConfig = ConfigValues<typeof fields>;
