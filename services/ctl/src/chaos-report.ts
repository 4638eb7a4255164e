/** A drill's journal as a report: one page for the browser, and the same as Markdown. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  describeTargets,
  type FaultEffect,
  type Figures,
  type Journal,
  type Judgement,
  showSpan,
} from "@millrace/drills";
import {
  type Band,
  type Block,
  type Cell,
  htmlPage,
  markdownPage,
  type Page,
  type Point,
  type Section,
  svgChart,
} from "@millrace/report";
import { formatBytes } from "@millrace/std";

const WIDTH = 1040;
const HEIGHT = 300;
const BAD = "var(--bad, #c62828)";

/** Writes `report.html` and `report.md` beside the journal. @returns the path of the page. */
export async function writeReport(directory: string, journal: Journal): Promise<string> {
  const page = reportOf(journal);
  const path = join(directory, "report.html");
  await writeFile(path, htmlPage(page));
  await writeFile(join(directory, "report.md"), markdownPage(page));
  return path;
}

export function reportOf(journal: Journal): Page {
  const { judgement, drill, aborted } = journal.millrace;
  const broken = judgement.rows.filter(({ held }) => !held).map(({ id }) => id);
  const verdict =
    aborted !== ""
      ? `Ended before its time: ${aborted}.`
      : judgement.passed
        ? "Green: every invariant and every objective held."
        : `Red: ${broken.join(", ")} did not hold.`;
  return {
    title: drill.title,
    summary: { text: verdict, tone: judgement.passed ? "good" : "bad" },
    sections: [
      verdictSection(journal),
      plotSection(journal),
      faultSection(journal),
      ...memorySection(journal),
      measureSection(journal),
    ],
  };
}

const countCell = (count: number): Cell =>
  count === 0 ? { text: "0", tone: "good" } : { text: grouped(count), tone: "bad" };

const grouped = (value: number): string => value.toLocaleString("en-US");

/** Per cent with as many digits as tell 99.99 from 99.999, and never rounded up to 100. */
export const percentText = (percent: number): string =>
  `${(Math.floor(percent * 10_000) / 10_000).toFixed(4).replace(/\.?0+$/, "")} %`;

function verdictSection({ millrace: { judgement, drill } }: Journal): Section {
  const { availability } = judgement;
  const isEnough = availability.percent >= drill.objectives.availability;
  const blocks: Block[] = [
    { type: "text", text: drill.description },
    {
      type: "figures",
      figures: [
        [
          "Availability",
          { text: percentText(availability.percent), tone: isEnough ? "good" : "bad" },
        ],
        ["At least (95 %)", percentText(availability.lowerPercent)],
        ["Requests", grouped(judgement.requests)],
        ["Failed", countCell(judgement.failed)],
        ["Jobs", grouped(judgement.jobs)],
        ["Jobs lost", countCell(judgement.lost)],
        ["Jobs duplicated", countCell(judgement.duplicated)],
        ["Jobs stuck", countCell(judgement.stuck)],
        ...overloadFigureCells(judgement),
        ...addedLatencyCells(judgement),
        ...retryBudgetCells(judgement),
        ["Faults", grouped(judgement.faults.length)],
        ["Kinds of faults", grouped(new Set(judgement.faults.map(({ kind }) => kind)).size)],
      ],
    },
    {
      type: "table",
      head: ["", "must hold", "verdict", "evidence"],
      rows: judgement.rows.map(({ id, meaning, held, evidence }) => [
        id,
        meaning,
        held ? { text: "held", tone: "good" } : { text: "broken", tone: "bad" },
        evidence,
      ]),
    },
  ];
  const violations = judgement.rows.flatMap(({ id, violations: said }) =>
    said.map((violation) => [id, violation]),
  );
  if (violations.length > 0) {
    blocks.push({ type: "table", head: ["", "what broke it"], rows: violations });
  }
  const failures = Object.entries(judgement.failures).toSorted((a, b) => b[1] - a[1]);
  if (failures.length > 0) {
    blocks.push({
      type: "table",
      head: ["failure, as its client saw it", "requests"],
      rows: failures,
    });
  }
  return { title: "Verdict", blocks };
}

/** What a drill says besides that asks for more than there is. */
function overloadFigureCells({
  overload,
  ticketsPerRequest: tickets,
}: Judgement): readonly (readonly [string, Cell])[] {
  if (overload === undefined) return [];
  const { goodputPercent, goodputPerSecond, p99Ms, refused, refusedP50Ms, refusedP99Ms } = overload;
  return [
    ["Goodput of capacity", `${goodputPercent.toFixed(1)} %`],
    ["Goodput", `${goodputPerSecond.toFixed(1)}/s`],
    ["p99 of admitted", `${p99Ms.toFixed(0)} ms`],
    ["Refused", grouped(refused)],
    ["Refusals took p50, p99", `${refusedP50Ms.toFixed(0)}, ${refusedP99Ms.toFixed(0)} ms`],
    ["Tickets per request", tickets === undefined ? "not said" : tickets.toFixed(3)],
  ];
}

/** What a drill says besides that bounds what a kind of fault adds to latency. */
function addedLatencyCells({
  addedLatency: added,
}: Judgement): readonly (readonly [string, Cell])[] {
  if (added === undefined) return [];
  const { addedP99Ms, disturbedP50Ms, disturbedP99Ms, undisturbedP50Ms, undisturbedP99Ms } = added;
  const ms = (p50: number, p99: number): string => `${p50.toFixed(1)}, ${p99.toFixed(1)} ms`;
  return [
    ["Added at p99", `${addedP99Ms.toFixed(1)} ms`],
    ["After a fault p50, p99", ms(disturbedP50Ms, disturbedP99Ms)],
    ["Undisturbed p50, p99", ms(undisturbedP50Ms, undisturbedP99Ms)],
  ];
}

/** And one that uses up the budget of retries. */
function retryBudgetCells({
  retryBudget,
  ticketsPerRequest: tickets,
}: Judgement): readonly (readonly [string, Cell])[] {
  if (retryBudget === undefined) return [];
  const { repeated, allowed, denied } = retryBudget;
  return [
    ["Retries of allowed", `${grouped(repeated)} of ${grouped(allowed)}`],
    ["Retries denied", grouped(denied)],
    ["Tickets per request", tickets === undefined ? "not said" : tickets.toFixed(3)],
  ];
}

const pointsOf = (figures: Figures): readonly Point[] =>
  figures.map((value, second) => [second, value ?? NaN]);

const isSeen = (figures: Figures): boolean => figures.some((value) => value !== null && value > 0);

function plotSection({ millrace: { series, judgement, durationUs } }: Journal): Section {
  // Nothing is asked after the load, and its last second is no whole one.
  const asked = (figures: Figures): Figures => figures.slice(0, Math.floor(durationUs / 1e6));
  const bands: readonly Band[] = judgement.faults.map((fault) => ({
    from: fault.injectedUs / 1e6,
    to: fault.endedUs / 1e6,
    label: [fault.kind, ...fault.targets].join(" "),
  }));
  const x = { kind: "value", label: "seconds since the start of the load" } as const;
  const common = { width: WIDTH, height: HEIGHT, x, bands };
  const line = (name: string, figures: Figures, color?: string) => ({
    name,
    kind: "line" as const,
    points: pointsOf(figures),
    ...(color === undefined ? {} : { color }),
  });
  const chart = (
    title: string,
    y: { readonly kind: "linear" | "log"; readonly label: string },
    drawn: Parameters<typeof svgChart>[0]["series"],
  ): Block => ({
    type: "chart",
    svg: svgChart({ ...common, title, y, series: drawn }),
    alternative: `${title}: see report.html.`,
  });
  const blocks: Block[] = [
    chart("Requests per second, by outcome", { kind: "log", label: "requests/s, 0 on the floor" }, [
      { name: "right answer in time", kind: "area", points: pointsOf(asked(series.right)) },
      ...[
        line("of these, sent again by the client", asked(series.resent)),
        line("poison, refused with 4xx", asked(series.poisonRefused)),
        line("over a limit, 429", asked(series.limited)),
        line("refused for want of capacity, 503", asked(series.shed)),
      ].filter(({ points }) => isSeen(points.map(([, value]) => value))),
      line("failed", asked(series.failed), BAD),
    ]),
    chart("Latency from the intended time of sending", { kind: "log", label: "ms" }, [
      line("p50", series.p50Ms),
      line("p99", series.p99Ms),
      line("p99.9", series.p999Ms),
      line("max", series.maxMs),
    ]),
    chart("Open requests and queued rows", { kind: "linear", label: "at most in the second" }, [
      line("open requests", series.openRequests),
      line("rows queued at schedulers", series.queuedRows),
    ]),
    chart("Healthy members", { kind: "linear", label: "at least in the second" }, [
      { name: "workers", kind: "step", points: pointsOf(series.healthyWorkers) },
      { name: "schedulers", kind: "step", points: pointsOf(series.healthySchedulers) },
    ]),
  ];
  if (judgement.jobs + judgement.jobsRefused > 0) {
    blocks.push(
      chart("Ledger of jobs", { kind: "linear", label: "jobs until then" }, [
        line("submitted", series.jobsSubmitted),
        line("accepted", series.jobsAccepted),
        line("ended", series.jobsEnded),
      ]),
    );
  }
  const shaded = "Shaded: the time of a fault. Hover over it to see which.";
  return { title: "Second by second", blocks: [{ type: "text", text: shaded }, ...blocks] };
}

const after = (us: number | undefined): string =>
  us === undefined ? "-" : showSpan(Math.round(us / 1000) * 1000);

function faultRow(fault: FaultEffect): readonly Cell[] {
  const { name, kind, injectedUs, endedUs, detectedUs, recoveredAfterUs } = fault;
  return [
    name,
    kind,
    describeTargets(fault) || "the load",
    after(injectedUs),
    after(endedUs - injectedUs),
    after(detectedUs === undefined ? undefined : detectedUs - injectedUs),
    recoveredAfterUs === undefined ? { text: "never", tone: "bad" } : after(recoveredAfterUs),
    fault.acted ?? "-",
    fault.touched,
    fault.failed === 0 ? 0 : { text: String(fault.failed), tone: "bad" },
  ];
}

function faultSection({ millrace: { judgement } }: Journal): Section {
  return {
    title: "Faults",
    blocks: [
      {
        type: "table",
        head: [
          "fault",
          "kind",
          "hit",
          "at",
          "lasted",
          "detected after",
          "recovered after its end",
          "acted",
          "touched",
          "failed",
        ],
        rows: judgement.faults.map(faultRow),
      },
      {
        type: "text",
        text:
          "Idle: had nothing to do in the second before. " +
          "Detected: a target was suspected as the cluster itself does, by the broker's " +
          "disconnect event or 350 ms without a heartbeat; what only slows a member is not. " +
          "Recovered: its targets were back and no request failed or was sent again any more. " +
          "Acted: how many messages a fault of some messages met. Touched: requests that failed, were sent again by their client, or took more than " +
          "twice what one in a thousand took before the first fault, and at least 50 ms.",
      },
      ...latencyBlocks(judgement),
    ],
  };
}

/** Fault by fault, where a drill bounds what they add. */
function latencyBlocks({ addedLatency: added }: Judgement): readonly Block[] {
  if (added === undefined) return [];
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  const rows = added.faults.map(({ name, requests, p99Ms, maxMs }) => [
    name,
    requests,
    ms(p99Ms),
    ms(maxMs),
  ]);
  const { undisturbed, undisturbedP99Ms } = added;
  const between = ["undisturbed", undisturbed, ms(undisturbedP99Ms), ""];
  return [
    {
      type: "table",
      head: ["latency after", "requests", "p99", "max"],
      rows: [...rows, between],
    },
  ];
}

/** Empty where the members' processes are not on the monkey's machine. */
function memorySection({ millrace: { memory } }: Journal): readonly Section[] {
  if (memory.length === 0) return [];
  const rows = memory.map(({ id, fromUs, toUs, firstBytes, lastBytes, mostBytes }) => [
    id,
    after(fromUs),
    after(toUs - fromUs),
    formatBytes(firstBytes),
    formatBytes(lastBytes),
    formatBytes(mostBytes),
    `${(100 * (lastBytes / firstBytes - 1)).toFixed(1)} %`,
  ]);
  const head = ["member", "seen from", "for", "first", "last", "most", "growth"];
  const text =
    "Resident memory, read every 5 s. A member that was started again counts from its restart, " +
    "so a short time says little: a process grows while it warms up.";
  const blocks: readonly Block[] = [
    { type: "table", head, rows },
    { type: "text", text },
  ];
  return [{ title: "Memory of the members", blocks }];
}

function measureSection({ millrace, start, duration }: Journal): Section {
  const { drill, seed, durationUs, versions, machine, members, sendLagUs, command } = millrace;
  const { load } = drill;
  const counts = Map.groupBy(members, ({ role }) => role);
  const cluster = [...counts].map(([role, of]) => `${of.length} ${role}`).join(", ");
  const mix = load.mix.map(({ model, priority }) => `${model} (${priority})`).join(", ");
  const rows: readonly (readonly [string, string])[] = [
    ["started", `${start}, ${duration.toFixed(0)} s in all`],
    ["seed", String(seed)],
    ["load", `${load.requestsPerSecond} requests/s open loop for ${showSpan(durationUs)}: ${mix}`],
    ["tenants", String(load.tenants)],
    ["cluster", cluster],
    ...Object.entries(versions),
    ...Object.entries(machine),
    ["sent late by the generator", `99 in 100 by less than ${after(sendLagUs)}`],
  ];
  return {
    title: "How it was measured",
    blocks: [
      { type: "code", text: command },
      { type: "table", head: ["", ""], rows },
      {
        type: "text",
        text:
          "Availability counts every request but poison and 429. A failure is a 503 or any other " +
          "5xx, a missed deadline, a wrong answer, a good input that was refused, or no status " +
          "at all. A client sends again, inside its deadline and under the same id, only what " +
          "has no status: a connection that was refused or broke. The bound is that of Clopper " +
          "and Pearson.",
      },
    ],
  };
}
