/**
 * The cluster as its members say of themselves: heartbeats, `$SRV.STATS` replies, and the registry,
 * gathered over a quarter of a second. Who does not speak in that time is not there.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Bus } from "@millrace/bus";
import {
  checkValue,
  decodeJson,
  FaultError,
  type ModelRecord,
  modelRef,
  SCHEDULER_HEARTBEATS,
  type SchedulerHeartbeat,
  schedulerHeartbeatSchema,
  WORKER_HEARTBEATS,
  type WorkerHeartbeat,
  workerHeartbeatSchema,
} from "@millrace/protocol";
import type { Registry } from "@millrace/store";
import type { ClusterView, IngressView, ModelView, SchedulerView, WorkerView } from "./views.ts";
import {
  type IngressData,
  ingressDataSchema,
  schedulerDataSchema,
  type Stats,
  statsSchema,
  workerDataSchema,
} from "./statistics.ts";

export { renderCluster } from "./cluster-view.ts";
export type { ClusterView } from "./views.ts";

/** Two heartbeats fit, with room for one that is late. */
const LISTEN_MS = 250;

/** What was heard. */
export interface Heard {
  readonly workers: ReadonlyMap<string, WorkerHeartbeat>;
  readonly schedulers: ReadonlyMap<string, SchedulerHeartbeat>;
  readonly stats: readonly Stats[];
  readonly records: readonly ModelRecord[];
}

/**
 * @param registry of a store that stays open: each one listens to its connection while that lasts.
 * @throws FaultError when NATS cannot be reached.
 */
export async function readCluster(
  bus: Bus,
  registry: Pick<Registry, "list">,
): Promise<ClusterView> {
  if (!bus.connected) throw new FaultError("DISCONNECTED", "the connection to NATS is lost");
  const workers = new Map<string, WorkerHeartbeat>();
  const schedulers = new Map<string, SchedulerHeartbeat>();
  const subscriptions = [
    bus.subscribe(WORKER_HEARTBEATS, (bytes) => {
      const beat = decodeJson(workerHeartbeatSchema, bytes);
      if (!beat.ok) return;
      // Only some beats carry the list.
      const models = beat.value.models ?? workers.get(beat.value.id)?.models;
      workers.set(beat.value.id, models === undefined ? beat.value : { ...beat.value, models });
    }),
    bus.subscribe(SCHEDULER_HEARTBEATS, (bytes) => {
      const beat = decodeJson(schedulerHeartbeatSchema, bytes);
      if (beat.ok) schedulers.set(beat.value.id, beat.value);
    }),
  ];
  try {
    const listening = sleep(LISTEN_MS);
    const [stats, records] = await Promise.all([readStats(bus), readRecords(registry), listening]);
    return viewCluster({ workers, schedulers, stats, records });
  } finally {
    await Promise.all(subscriptions.map((subscription) => subscription.drain()));
  }
}

/** Statistics add to the heartbeats: where nobody gives any, the rest is shown. */
async function readStats(bus: Bus): Promise<readonly Stats[]> {
  const found: Stats[] = [];
  const options = { strategy: "timer", maxWait: LISTEN_MS } as const;
  try {
    for await (const reply of await bus.connection.requestMany("$SRV.STATS", "", options)) {
      const stats = decodeJson(statsSchema, reply.data);
      // Other programs in the account may be micro services too.
      if (stats.ok) found.push(stats.value);
    }
  } catch (error) {
    if (!(error instanceof Error && /no responders/i.test(error.message))) throw error;
  }
  return found;
}

/** The cluster is shown without its storage too. */
async function readRecords(registry: Pick<Registry, "list">): Promise<readonly ModelRecord[]> {
  const records = await registry.list();
  return records.ok ? records.value : [];
}

/** Puts together what was heard; pure. */
export function viewCluster(heard: Heard): ClusterView {
  const dataOf = new Map(
    heard.stats.map(({ name, metadata, endpoints }) => [
      `${name} ${metadata.id}`,
      Object.assign({}, ...endpoints.map(({ data }) => data)) as unknown,
    ]),
  );
  const workers = [...heard.workers.values()]
    .map((beat) => viewWorker(beat, dataOf.get(`${beat.role} ${beat.id}`)))
    .toSorted(byId);
  const schedulers = [...heard.schedulers.values()]
    .map((beat) => viewScheduler(beat, dataOf.get(`scheduler ${beat.id}`)))
    .toSorted(byId);
  const ingressData = heard.stats
    .filter(({ name }) => name === "ingress")
    .map(({ metadata }) => {
      const data = checkValue(ingressDataSchema, dataOf.get(`ingress ${metadata.id}`));
      return { id: metadata.id, data: data.ok ? data.value : EMPTY };
    });
  return {
    workers,
    schedulers,
    ingresses: ingressData.map(({ id, data }) => viewIngress(id, data)).toSorted(byId),
    models: viewModels(
      heard,
      workers,
      ingressData.map(({ data }) => data),
    ),
  };
}

const EMPTY: IngressData = { open: 0, openBytes: 0, models: {} };

const byId = (a: { readonly id: string }, b: { readonly id: string }): number =>
  a.id < b.id ? -1 : 1;

function viewWorker(beat: WorkerHeartbeat, data: unknown): WorkerView {
  const { id, role, kind, zone, lifecycle, state, device, inFlight, backlogUs } = beat;
  const said = checkValue(workerDataSchema, data);
  const models = beat.models ?? (said.ok ? said.value.models : undefined) ?? [];
  const place = { kind, zone, lifecycle };
  return { id, role, ...place, state, device, inFlight, backlogUs, models };
}

function viewScheduler(beat: SchedulerHeartbeat, data: unknown): SchedulerView {
  const said = checkValue(schedulerDataSchema, data);
  return {
    id: beat.id,
    state: beat.state,
    queuedRows: beat.loads.reduce((sum, load) => sum + load.queuedRows, 0),
    batchRowsMean: said.ok ? said.value.batchRowsMean : undefined,
  };
}

const viewIngress = (id: string, { open, openBytes, models }: IngressData): IngressView => ({
  id,
  open,
  openBytes,
  requestsPerSecond: sum(Object.values(models).map((model) => model.requestsPerSecond)),
});

/** Every model of the registry, and every other version that somebody holds or asks for. */
function viewModels(
  heard: Heard,
  workers: readonly WorkerView[],
  ingresses: readonly IngressData[],
): readonly ModelView[] {
  const loads = [...heard.schedulers.values()].flatMap((beat) => beat.loads);
  const residents = workers.flatMap((worker) => worker.models);
  const unloaded = new Set<string>();
  const refs = new Set<string>();
  for (const { name, active, loaded } of heard.records) {
    refs.add(modelRef(name, active));
    if (!loaded) unloaded.add(modelRef(name, active));
  }
  for (const { ref } of [...loads, ...residents]) refs.add(ref);
  for (const { models } of ingresses) for (const ref of Object.keys(models)) refs.add(ref);
  return [...refs].toSorted().map((ref) => {
    const asked = ingresses.flatMap(({ models }) => models[ref] ?? []);
    return {
      ref,
      loaded: !unloaded.has(ref),
      ready: residents.filter((model) => model.ref === ref && model.state === "ready").length,
      queuedRows: sum(loads.filter((load) => load.ref === ref).map((load) => load.queuedRows)),
      requestsPerSecond: sum(asked.map((model) => model.requestsPerSecond)),
      // Quantiles of several ingresses cannot be joined; the worst is the safe side.
      p50Us: largest(asked.map((model) => model.p50Us)),
      p99Us: largest(asked.map((model) => model.p99Us)),
      errors: sum(asked.map((model) => model.errors)),
    };
  });
}

const sum = (values: readonly number[]): number =>
  values.reduce((total, value) => total + value, 0);

function largest(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.max(...known);
}
