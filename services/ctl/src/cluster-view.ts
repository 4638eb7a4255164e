/** The cluster as tables for a terminal. */

import { formatBytes, formatTable, formatUs } from "@millrace/std";
import type { ClusterView, ModelView, WorkerView } from "./views.ts";

type Cells = readonly (string | number)[];

const MODELS_SHOWN = 4;
const NAME_SHOWN = 28;

export function renderCluster(view: ClusterView): string {
  return [
    workerTable(view.workers),
    table(
      ["MODEL", "DEVICES", "QUEUED", "RATE", "P50", "P99", "ERRORS"],
      view.models.map(modelCells),
      "no models",
    ),
    table(
      ["SCHEDULER", "STATE", "QUEUED", "ROWS A BATCH"],
      view.schedulers.map(({ id, state, queuedRows, batchRowsMean }) => [
        id,
        state,
        String(queuedRows),
        batchRowsMean?.toFixed(1) ?? "-",
      ]),
      "no schedulers",
    ),
    table(
      ["INGRESS", "RATE", "OPEN", "OPEN BYTES"],
      view.ingresses.map(({ id, requestsPerSecond, open, openBytes }) => [
        id,
        formatRate(requestsPerSecond),
        String(open),
        formatBytes(openBytes),
      ]),
      "no ingresses",
    ),
  ].join("\n\n");
}

const table = (head: readonly string[], rows: readonly Cells[], none: string): string =>
  rows.length === 0 ? none : formatTable([head, ...rows]);

/** Where nobody was told of zones or prices, there is nothing to show of them. */
function workerTable(workers: readonly WorkerView[]): string {
  const placed = workers.some(({ lifecycle, zone }) => (lifecycle ?? zone) !== undefined);
  const [first, ...rest] = [
    "WORKER",
    "DEVICE",
    "MEMORY",
    "IN FLIGHT",
    "BACKLOG",
    "STATE",
    "MODELS",
  ];
  const head = placed ? [first ?? "", "ZONE", "PAID AS", ...rest] : [first ?? "", ...rest];
  const rows = workers.map((worker) => {
    const [id = "", ...cells] = workerCells(worker);
    return placed ? [id, worker.zone ?? "-", worker.lifecycle ?? "-", ...cells] : [id, ...cells];
  });
  return table(head, rows, "no workers");
}

function workerCells({ id, device, inFlight, backlogUs, state, models }: WorkerView): Cells {
  const { class: kind, name, memoryTotalBytes, memoryFreeBytes } = device;
  const used = formatBytes(memoryTotalBytes - Math.min(memoryFreeBytes, memoryTotalBytes));
  return [
    id,
    // The class always stands first: an emulated device says so wherever it is shown.
    name.startsWith(kind) ? clip(name) : `${kind}: ${clip(name)}`,
    `${used} / ${formatBytes(memoryTotalBytes)}`,
    String(inFlight),
    formatUs(backlogUs),
    state,
    modelList(models),
  ];
}

const clip = (text: string): string =>
  text.length <= NAME_SHOWN ? text : `${text.slice(0, NAME_SHOWN - 1).trimEnd()}…`;

function modelList(models: WorkerView["models"]): string {
  if (models.length === 0) return "-";
  const shown = models
    .toSorted((a, b) => (a.ref < b.ref ? -1 : 1))
    .slice(0, MODELS_SHOWN)
    .map(({ ref, state }) => (state === "ready" ? ref : `${ref} (${state})`));
  const more = models.length - shown.length;
  return shown.join(", ") + (more > 0 ? ` and ${more} more` : "");
}

const modelCells = (model: ModelView): Cells => [
  model.ref,
  model.loaded ? String(model.ready) : "unloaded",
  String(model.queuedRows),
  formatRate(model.requestsPerSecond),
  model.p50Us === undefined ? "-" : formatUs(model.p50Us),
  model.p99Us === undefined ? "-" : formatUs(model.p99Us),
  String(model.errors),
];

const formatRate = (perSecond: number): string =>
  `${perSecond < 10 ? Number(perSecond.toFixed(1)) : Math.round(perSecond)}/s`;
