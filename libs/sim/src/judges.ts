/** The invariants that a simulation is judged by. */

import {
  type Checker,
  checkBounds,
  checkCheckedBytes,
  checkDeviceLimits,
  checkOneAnswer,
  checkOneEffect,
  checkOwnAnswer,
  checkRecovery,
  checkUrgentFirst,
  checkWorkConserved,
  type Report,
  type WorkConservedOptions,
} from "@millrace/invariants";
import { HEARTBEAT_US, modelRef } from "@millrace/protocol";
import { SCHEDULER_DEFAULTS } from "@millrace/scheduling";
import { present } from "@millrace/std";
import type { Scenario } from "./scenario.ts";

/** A turn of an event loop, and the rounding of its timers. */
const SLACK_US = 5_000;
/** Word of a change in the registry is everywhere by then, also where a connection was away. */
const WORD_US = 2_000_000;
/** A scheduler has looked again by then at whatever waits. */
const IDLE_US_MAX = SCHEDULER_DEFAULTS.sweepUs + SLACK_US;
/** Of a load: by the worker's next heartbeat. */
const HEARD_US_MAX = 300_000;

export type MakeChecker = (report: Report) => Checker;

export function judgesOf(scenario: Scenario, isFaulty: () => boolean): readonly MakeChecker[] {
  return [
    (report) => checkOneAnswer(report, SLACK_US),
    checkOwnAnswer,
    checkDeviceLimits,
    checkOneEffect,
    checkUrgentFirst,
    checkBounds,
    // While workers are lost by other things, two that had the same input are reason enough.
    (report) => checkRecovery(report, (code) => code === "INPUT_QUARANTINED" && isFaulty()),
    (report) => checkCheckedBytes(report, WORD_US),
    ...(scenario.calm ? [workConserved(scenario)] : []),
  ];
}

function workConserved({ workers, models, schedulers }: Scenario): MakeChecker {
  const cpus = new Set(workers.filter(({ class: kind }) => kind === "cpu").map(({ id }) => id));
  const modelOf = new Map(models.map((model) => [modelRef(model.name, 1), model]));
  const slowest = Math.max(...workers.map(({ slowness }) => slowness));
  const othersUs = schedulers.length > 1 ? HEARTBEAT_US : 0;
  const options: WorkConservedOptions = {
    rankOf: (device) => (cpus.has(device) ? 1 : 0),
    // What is worth waiting for is less than a run, on the device that would be taken. Of others'
    // work a scheduler hears by heartbeats.
    idleUsMax: (model) => {
      const { runUs, rowUs } = present(modelOf.get(model), model);
      return IDLE_US_MAX + othersUs + slowest * (runUs + rowUs);
    },
    heardUsMax: HEARD_US_MAX,
    ageAfterUs: SCHEDULER_DEFAULTS.ageAfterUs,
  };
  return (report) => checkWorkConserved(report, options);
}
