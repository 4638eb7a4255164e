/**
 * The thread that owns onnxruntime: one session per model, one thing at a time. Runs go first:
 * between any two steps of a load, the runs that have arrived are done, by tier and then in the
 * order in which they were asked for. Creating a session is one step and cannot be cut; warming up
 * is one step per batch size.
 */

import { flushCompileCache } from "node:module";
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { fault } from "@millrace/protocol";
import { present } from "@millrace/std";
import { packOutputs, unpackRun } from "./crossing.ts";
import { messageOf, runFailure } from "./failure.ts";
import { type Layout, layoutOf } from "./layout.ts";
import {
  type Command,
  type FromThread,
  monotonicUs,
  type RunMessage,
  type ThreadAnswer,
  type ThreadOptions,
  type ToThread,
} from "./messages.ts";
import { openProbe } from "./probe.ts";
import { dropData, feedsOf, keepPace, outputsOf, type Session } from "./session.ts";
import { splitOutputs } from "./split.ts";
import { loadModel } from "./warm.ts";

interface Loaded {
  readonly session: Session;
  readonly layout: Layout;
}

const port = present(parentPort, "the engine's thread has no port");
const options = workerData as ThreadOptions;
const loaded = new Map<string, Loaded>();
const runs: { readonly id: number; readonly run: RunMessage }[] = [];
const commands: { readonly id: number; readonly command: Command }[] = [];
const NOT_BEGUN: ThreadAnswer = {
  type: "failed",
  fault: fault("STALE_ASSIGNMENT", "the run did not begin"),
  fatal: false,
  computeUs: 0,
};
let closing = false;
let working = false;

const send = (message: FromThread, moved: ArrayBuffer[] = []): void => {
  port.postMessage(message, moved);
};

function answer(id: number, value: ThreadAnswer): void {
  if (value.type === "ran") send(packOutputs(id, value), [value.bytes.buffer, value.slab]);
  else send({ type: "answer", id, answer: value });
}

async function work(): Promise<void> {
  working = true;
  for (;;) {
    await runWaiting();
    const next = commands.shift();
    if (next === undefined) break;
    answer(next.id, await obey(next.command));
  }
  working = false;
  if (closing) await close();
}

/** Runs what waits, until nothing does. */
async function runWaiting(): Promise<void> {
  for (;;) {
    // What came during a run has a say in what is next.
    for (let more = receive(); more !== undefined; more = receive()) take(more);
    const next = runs.shift();
    if (next === undefined) return;
    const { id, run } = next;
    const isLate = monotonicUs() > run.startByUs;
    const outcome = isLate ? NOT_BEGUN : await runBatch(run);
    answer(id, outcome);
    // Its pieces may have to go before what waits.
    if (run.partial || (outcome.type === "failed" && !isLate)) {
      for (const waiting of runs.splice(0)) answer(waiting.id, NOT_BEGUN);
    }
  }
}

async function obey(command: Command): Promise<ThreadAnswer> {
  if (command.type === "unload") {
    await loaded.get(command.ref)?.session.release();
    loaded.delete(command.ref);
    return { type: "unloaded" };
  }
  const layout = layoutOf(command.spec);
  const steps = loadModel(command.file, layout, options);
  for (;;) {
    const step = await steps.next();
    if (step.done === true) {
      const { session, answer: outcome } = step.value;
      if (session !== undefined) loaded.set(command.ref, { session, layout });
      return outcome;
    }
    await runWaiting();
  }
}

async function runBatch(run: RunMessage): Promise<ThreadAnswer> {
  const model = loaded.get(run.ref);
  if (model === undefined) {
    const missing = fault("NOT_LOADED", `${run.ref} is not loaded`);
    return { type: "failed", fault: missing, fatal: false, computeUs: 0 };
  }
  let computeUs = 0;
  const begin = performance.now();
  try {
    const feeds = feedsOf(model.layout, run.slab, run.inputs);
    const began = performance.now();
    const results = await model.session.run(
      feeds,
      model.layout.outputs.map(({ name }) => name),
    );
    await keepPace(options, run.rows, began);
    computeUs = Math.round((performance.now() - began) * 1000);
    const split = splitOutputs(model.layout, outputsOf(model.layout, results), run, run.items);
    for (const tensor of Object.values(results)) dropData(tensor.data);
    if (split.ok) {
      const { bytes, ends } = split.value;
      return { type: "ran", computeUs, slab: run.slab, bytes, ends };
    }
    return { type: "failed", fault: split.error, fatal: false, computeUs };
  } catch (error) {
    const failed = runFailure(messageOf(error), options.device);
    computeUs ||= Math.round((performance.now() - begin) * 1000);
    return { type: "failed", ...failed, computeUs };
  }
}

async function close(): Promise<void> {
  for (const { session } of loaded.values()) await session.release();
  loaded.clear();
  port.close(); // nothing is left to wait for, so the thread ends by itself
}

function take(message: ToThread): void {
  if ("close" in message) closing = true;
  else if ("command" in message) commands.push(message);
  else {
    const asked = unpackRun(message);
    const behind = runs.findIndex(({ run }) => run.tier > asked.run.tier);
    runs.splice(behind < 0 ? runs.length : behind, 0, asked);
  }
}

const receive = (): ToThread | undefined =>
  receiveMessageOnPort(port)?.message as ToThread | undefined;

port.on("message", (message: ToThread) => {
  take(message);
  if (!working) void work();
});

const reason = await openProbe(options);
// Where what Node compiled is kept, a thread keeps its own, and not where its process is killed.
flushCompileCache();
send(reason === undefined ? { type: "opened" } : { type: "refused", reason });
