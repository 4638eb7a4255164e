/** Puts a worker's parts together: the core, its pump, what it hears and what it does. */

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Bus, ProcessIdentity } from "@millrace/bus";
import type { Engine } from "@millrace/engine";
import { WorkerCore, type WorkerEffect, type WorkerEvent } from "@millrace/executing";
import type { Lifecycle } from "@millrace/protocol";
import { createPump, type Logger, type Metrics, nowUs } from "@millrace/runtime";
import { createBlobCache, openStore } from "@millrace/store";
import { AnswerSender } from "./answer-sender.ts";
import type { WorkerConfig, WorkerRole } from "./config.ts";
import { Mailbox } from "./mailbox.ts";
import { Performer } from "./performer.ts";
import { RemoteBodies } from "./remote-bodies.ts";
import { createWorkerMetrics, type WorkerTotals } from "./worker-metrics.ts";

export interface AssemblyParts {
  readonly role: WorkerRole;
  readonly config: WorkerConfig;
  readonly own: ProcessIdentity;
  readonly bus: Bus;
  readonly engine: Engine;
  readonly metrics: Metrics;
  readonly log: Logger;
}

export type Exit = Extract<WorkerEffect, { readonly type: "exit" }>;

export interface Worker extends AsyncDisposable {
  readonly exited: Promise<Exit>;
  readonly condition: Performer["condition"];
  readonly totals: Readonly<WorkerTotals>;
  /**
   * Stops taking, finishes what is held, ends. With a deadline, in the time of `nowUs`, it ends
   * before that; told again, only an earlier deadline counts.
   */
  readonly beginDrain: (reason: string, deadlineUs?: number) => void;
}

/** The device's memory is read, and what is overdue is dropped, this often. */
const TICK_MS = 1_000;
/** What is left of a deadline for the answers' way out, and for the process to end. */
const LAST_WORDS_US = 500_000;
/** Without a connection the subscriptions do not end. */
const CLOSE_MS_MAX = 1_000;

/** @throws the file system's error where the cache's directory cannot be used. */
export async function assemble(parts: AssemblyParts): Promise<Worker> {
  const { role, config, own, bus, engine, log } = parts;
  const { id } = config;
  const device = await engine.readDevice();
  const metrics = createWorkerMetrics(parts.metrics);
  const { promise: exited, resolve: exit } = Promise.withResolvers<Exit>();
  const post = (event: WorkerEvent): void => pump.post(event);
  const cache = await openCache(config, bus, log, (bytes) => metrics.fetched(bytes));
  const lost = (count: number): void => metrics.dropped("answer", count);
  const answers = new AnswerSender({ bus, id, device: device.class, nowUs, lost });
  const bodies = new RemoteBodies({
    nowUs,
    arrived: (ingress, { seq, attempt }, body) =>
      post({ type: "bodyArrived", ingress, seq, attempt, body }),
    gone: (ingress, { seq, attempt }) => post({ type: "bodyGone", ingress, seq, attempt }),
  });
  const shared = { id, own, bus, engine, device, cache, answers, bodies, metrics, log, post, exit };
  const performer = new Performer(shared);
  const core = new WorkerCore({
    id,
    role,
    incarnation: own.incarnation,
    device,
    place: placeOf(config),
    limits: { drainUsMax: config.drainMs * 1000 },
  });
  const pump = createPump<WorkerEvent, WorkerEffect>({
    core,
    perform: (effect) => performer.perform(effect),
    nowUs,
  });
  const mailbox = new Mailbox(shared);
  bus.onConnection((connected) => {
    if (!connected) return;
    answers.resend();
    post({ type: "audienceChanged" });
  });
  const beginDrain: Worker["beginDrain"] = (reason, deadlineUs) => {
    log.info({ reason, deadlineUs }, "draining");
    const byUs = deadlineUs === undefined ? undefined : deadlineUs - LAST_WORDS_US;
    post(byUs === undefined ? { type: "drainBegan" } : { type: "drainBegan", byUs });
  };
  let worn = false;
  const ticks = setInterval(() => {
    bodies.sweep();
    mailbox.sweep();
    // Whoever keeps this process running starts it anew, with all of the device's memory.
    if (!worn && engine.worn !== undefined) beginDrain(engine.worn);
    worn = engine.worn !== undefined;
    void performer.readDevice().then((read) => post({ type: "deviceRead", device: read }));
  }, TICK_MS);
  return {
    exited,
    get condition() {
      return performer.condition;
    },
    totals: metrics.totals,
    beginDrain,
    // What is still on its way is refused by the core, and the refusals are sent.
    [Symbol.asyncDispose]: async () => {
      clearInterval(ticks);
      await Promise.race([mailbox.close(), sleep(CLOSE_MS_MAX, undefined, { ref: false })]);
      pump.stop();
      answers.flush();
    },
  };
}

export interface Place {
  readonly kind?: string;
  readonly zone?: string;
  readonly lifecycle?: Lifecycle;
}

/** What the worker was told of its machine; what it was not told is not in it. */
export const placeOf = ({ kind, lifecycle, zone }: WorkerConfig): Place => ({
  ...(kind === undefined ? {} : { kind }),
  ...(zone === undefined ? {} : { zone }),
  ...(lifecycle === undefined ? {} : { lifecycle }),
});

/** @param crossed told of every blob that came from another zone's store. */
async function openCache(
  config: WorkerConfig,
  bus: Bus,
  log: Logger,
  crossed: (bytes: number) => void,
) {
  const { storeZone = config.zone, zone = storeZone } = config;
  const { blobs } = await openStore(bus.connection, { create: false, replicas: 1 });
  return createBlobCache({
    directory: join(config.cacheDirectory, config.id),
    bytesMax: config.cacheBytesMax,
    read: async (digest) => {
      const blob = await blobs.read(digest);
      if (blob.ok && zone !== storeZone) crossed(blob.value.length);
      return blob;
    },
    onProblem: (error) => log.warn({ err: error }, "the cache of models has a problem"),
  });
}
