/** What a drill's objectives say of what was seen, one row each. */

import type { AddedLatency } from "./added-latency.ts";
import type { Availability } from "./availability.ts";
import type { Drill } from "./drill.ts";
import type { FaultEffect, InjectedFault } from "./effects.ts";
import { type Evidence, type Row, VIOLATIONS_SHOWN } from "./evidence.ts";
import { verdictOf } from "./ledger.ts";
import type { OverloadFigures } from "./overload.ts";
import { showSpan } from "./reading.ts";
import type { RetryBudgetFigures } from "./retry-budget.ts";

export interface Figures {
  readonly availability: Availability;
  readonly failed: number;
  readonly counted: number;
  readonly faults: readonly FaultEffect[];
}

const row = (id: string, meaning: string, said: string, violations: readonly string[]): Row => ({
  id,
  meaning,
  held: violations.length === 0,
  evidence: said,
  violations: violations.slice(0, VIOLATIONS_SHOWN),
});

/** Who had nothing to do stands in the evidence, because such a fault proves little. */
function injectedEvidence(faults: readonly InjectedFault[]): string {
  const unfelt = faults.filter(
    ({ idle, targets }) => targets.length > 0 && idle.length === targets.length,
  );
  const unless = unfelt.length === 0 ? "" : `, ${unfelt.length} of them into idle members`;
  const unmet = faults.filter(metNothing);
  return `${faults.length} injected${unless}${unmet.length === 0 ? "" : `, ${unmet.length} met nothing`}`;
}

const metNothing = ({ acted }: InjectedFault): boolean => acted === 0;

export function objectiveRows(drill: Drill, evidence: Evidence, figures: Figures): readonly Row[] {
  const { availability, recoveredWithinUs } = drill.objectives;
  const slow = figures.faults.filter(
    ({ recoveredAfterUs }) =>
      recoveredAfterUs === undefined || recoveredAfterUs > recoveredWithinUs,
  );
  const percent = figures.availability.percent;
  return [
    row(
      "availability",
      `at least ${availability} % of the requests got their right answer in time`,
      `${figures.failed} of ${figures.counted} failed`,
      figures.counted === 0
        ? ["no request that counts was asked"]
        : percent >= availability
          ? []
          : [`${percent.toFixed(4)} % of the requests`],
    ),
    row(
      "recovery",
      `targets are back and nothing fails ${showSpan(recoveredWithinUs)} after a fault`,
      `${figures.faults.length} faults`,
      slow.map(({ name, recoveredAfterUs: us }) => {
        return us === undefined
          ? `${name}: never`
          : `${name}: after ${showSpan(Math.round(us / 1000) * 1000)}`;
      }),
    ),
    row(
      "faults",
      "every fault of the method was injected, and what can be counted acted",
      injectedEvidence(evidence.faults),
      [
        ...evidence.refused,
        // What a monkey draws by itself may come when there is nothing to meet.
        ...(drill.method.length === 0 ? [] : evidence.faults.filter(metNothing)).map(
          ({ kind, name }) => `${name}: ${kind} met nothing`,
        ),
      ],
    ),
    ...jobRows(drill, evidence),
    row(
      "hypothesis",
      "the steady state held before and after, and no guard was broken",
      `${evidence.deviations.length} deviations`,
      evidence.deviations,
    ),
    ...poisonRows(evidence),
  ];
}

function jobRows({ load }: Drill, { jobs }: Evidence): readonly Row[] {
  if (load.jobs === undefined) return [];
  const refused = jobs.filter(({ acceptedUs }) => acceptedUs === undefined);
  const meaning = "every job is accepted, however often its client has to ask";
  return [
    row(
      "jobs",
      meaning,
      `${jobs.length} submitted`,
      jobs.length === 0
        ? ["none was submitted"]
        : refused.map(({ key, status, code }) => `${key} got ${status} ${code}`),
    ),
  ];
}

function poisonRows({ requests }: Evidence): readonly Row[] {
  const poison = requests.filter((request) => request.poison);
  if (poison.length === 0) return [];
  const wrong = poison.filter((request) => verdictOf(request) === "failed");
  const meaning = "an input that no model can run gets a 4xx of its own";
  const said = wrong.map(({ id, status, code }) => `${id} got ${status} ${code}`);
  return [row("poison", meaning, `${poison.length} poison inputs`, said)];
}

/** What must hold while more is asked than there is. */
export function overloadRows(
  { objectives: { overload: wanted } }: Drill,
  figures: OverloadFigures | undefined,
  tickets: number | undefined,
): readonly Row[] {
  if (wanted === undefined) return [];
  const bound = (id: string, meaning: string, held: boolean, evidence: string): Row =>
    row(id, meaning, evidence, held ? [] : [evidence]);
  const { capacity, goodputPercent, ticketsMax } = wanted;
  const said = tickets === undefined ? "the ingresses did not say" : tickets.toFixed(3);
  const budget = `at most ${ticketsMax} tickets for a request, retries and hedges included`;
  if (figures === undefined) {
    const why = "nothing was asked in the time of a thundering herd";
    return [bound("goodput", "more is asked than there is", false, why)];
  }
  const { goodputPercent: percent, goodputPerSecond, askedPerSecond } = figures;
  const came = `${goodputPerSecond.toFixed(1)}/s, ${percent.toFixed(1)} %`;
  return [
    bound(
      "goodput",
      `at least ${goodputPercent} % of ${capacity} requests/s are answered rightly and in time`,
      percent >= goodputPercent,
      `${came}; ${Math.round(askedPerSecond)}/s were asked`,
    ),
    bound(
      "p99-admitted",
      "99 in 100 of what was not refused are served inside their deadlines",
      figures.p99OfDeadline <= 1,
      `${figures.missed} of ${figures.admitted} missed it, p99 ${figures.p99Ms.toFixed(0)} ms`,
    ),
    bound("tickets", budget, tickets !== undefined && tickets <= ticketsMax, said),
  ];
}

export function addedLatencyRows(
  { objectives: { addedLatency: allowed } }: Drill,
  added: AddedLatency | undefined,
): readonly Row[] {
  if (allowed === undefined) return [];
  const { fault, windowUs, p99UsMax } = allowed;
  const held = added !== undefined && added.addedP99Ms <= p99UsMax / 1000;
  const said =
    added === undefined
      ? "too few requests to tell"
      : `p99 ${added.disturbedP99Ms.toFixed(1)} ms of ${added.disturbed} requests, ` +
        `${added.undisturbedP99Ms.toFixed(1)} ms of ${added.undisturbed} between`;
  const worst = (added?.faults ?? []).toSorted((a, b) => b.p99Ms - a.p99Ms);
  const each = worst.map(({ name, p99Ms, maxMs }) => {
    return `${name}: p99 ${p99Ms.toFixed(1)} ms, at most ${maxMs.toFixed(1)} ms`;
  });
  const meaning =
    `a ${fault} adds at most ${showSpan(p99UsMax)} at p99 ` +
    `to what is open or asked within ${showSpan(windowUs)}`;
  const violations = held ? [] : each.length > 0 ? each.slice(0, VIOLATIONS_SHOWN) : [said];
  return [{ id: "added-latency", meaning, held, evidence: said, violations }];
}

/** A drill in which no retry was denied did not come to the budget's end, and shows nothing. */
export function retryBudgetRows(
  { objectives: { retryBudget: given } }: Drill,
  figures: RetryBudgetFigures | undefined,
): readonly Row[] {
  if (given === undefined) return [];
  const { share, perSecond, burst } = given;
  const isKept = figures !== undefined && figures.repeated <= figures.allowed;
  const said =
    figures === undefined
      ? "the ingresses did not say"
      : `${figures.repeated} of ${figures.allowed}, ${figures.denied} more were denied`;
  const violations = [
    ...(isKept ? [] : [said]),
    ...(figures?.denied === 0 ? ["none was denied: the budget was not used up"] : []),
  ];
  const meaning =
    `an ingress sends at most ${share} tickets more for each request, ${perSecond} a second ` +
    `and ${burst} at once`;
  return [
    { id: "retry-budget", meaning, held: violations.length === 0, evidence: said, violations },
  ];
}
