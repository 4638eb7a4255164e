/**
 * Loading a model: create the session, compare it with the registered signature, and run every
 * batch size once to warm it up and once to time it, so that the first request pays for nothing.
 */

import { batchBuckets, type Fault, fault } from "@millrace/protocol";
import { widenBfloats } from "./bfloat.ts";
import { fileFault, messageOf, runFailure, shortMessage } from "./failure.ts";
import type { Layout } from "./layout.ts";
import type { ThreadAnswer } from "./messages.ts";
import { datatypeOf, dropData, openSession, outputsOf, paceUs, sampleFeeds } from "./session.ts";
import type { Session, SessionDevice } from "./session.ts";
import { splitOutputs } from "./split.ts";

export interface LoadOutcome {
  /** Undefined where the load failed; nothing is held then. */
  readonly session: Session | undefined;
  readonly answer: ThreadAnswer;
}

const failed = (wrong: Fault, fatal = false): LoadOutcome => ({
  session: undefined,
  answer: { type: "failed", fault: wrong, fatal, computeUs: 0 },
});

/**
 * Yields between steps, where the caller may run other models. Fails with MODEL_CORRUPT or
 * MODEL_UNSUPPORTED for a file that does not open, OUT_OF_MEMORY, and LOAD_FAILED for a signature
 * or a batch limit that the file does not keep.
 *
 * Requests may decide dimensions that nothing is declared about; a model that fails with the guess
 * of 1 for those is loaded unwarmed, since it may well run with real ones.
 */
export async function* loadModel(
  file: Uint8Array,
  layout: Layout,
  device: SessionDevice,
): AsyncGenerator<void, LoadOutcome> {
  // The file goes when the session is open: what comes in its place has grown by as much more.
  const rssBefore = process.memoryUsage.rss() - file.byteLength;
  const widened = hasBfloats(layout) ? widenBfloats(file) : undefined;
  if (widened?.ok === false) return failed(widened.error);
  let session: Session;
  try {
    session = await openSession(widened?.value ?? file, device);
  } catch (error) {
    return failed(fileFault(messageOf(error)));
  } finally {
    dropData(file);
  }
  yield;
  let wrong = compareSignature(session, layout);
  let fatal = false;
  const warmUs: (readonly [number, number])[] = [];
  for (const rows of wrong === undefined ? batchBuckets(layout.maxBatch) : []) {
    const cold = await runSample(session, layout, device, rows);
    yield;
    const warm = typeof cold === "number" ? await runSample(session, layout, device, rows) : cold;
    yield;
    if (typeof warm === "number") {
      warmUs.push([rows, warm]);
      continue;
    }
    fatal = warm.fatal;
    if (rows === 1 && !fatal && warm.fault.code !== "OUT_OF_MEMORY" && guesses(layout)) break;
    wrong = warm.fault;
    break;
  }
  if (wrong !== undefined) {
    await session.release();
    return failed(wrong, fatal);
  }
  const grownBytes = Math.max(0, process.memoryUsage.rss() - rssBefore);
  return { session, answer: { type: "loaded", grownBytes, warmUs } };
}

const hasBfloats = (layout: Layout): boolean =>
  [...layout.inputs, ...layout.outputs].some(({ datatype }) => datatype === "BF16");

/** True where a request decides a dimension that is neither the batch nor padded. */
const guesses = (layout: Layout): boolean =>
  layout.inputs.some(({ shape, padAxis }) =>
    shape.some(
      (size, axis) =>
        size === -1 && !(axis === 0 && layout.maxBatch > 0) && !(axis > 0 && axis === padAxis),
    ),
  );

/** Whole microseconds, or what went wrong. */
async function runSample(
  session: Session,
  layout: Layout,
  device: SessionDevice,
  rows: number,
): Promise<number | { readonly fault: Fault; readonly fatal: boolean }> {
  try {
    const feeds = sampleFeeds(layout, rows);
    const began = performance.now();
    const results = await session.run(feeds);
    // An emulated device says its pace and does not wait for it: a start is no slower for it.
    const us = Math.max(paceUs(device, rows), Math.round((performance.now() - began) * 1000));
    const ran = { rows, length: layout.lengthMax };
    const items = Int32Array.of(rows, layout.lengthMax);
    const split = splitOutputs(layout, outputsOf(layout, results), ran, items);
    for (const tensor of [...Object.values(feeds), ...Object.values(results)])
      dropData(tensor.data);
    // A row limit that the graph does not keep shows here and not in a request.
    return split.ok ? us : { fault: fault("LOAD_FAILED", split.error.message), fatal: false };
  } catch (error) {
    const failure = runFailure(messageOf(error), device.device);
    if (failure.fatal || failure.fault.code === "OUT_OF_MEMORY") return failure;
    const message = `warm-up with ${rows} rows: ${shortMessage(messageOf(error))}`;
    return { fault: fault("LOAD_FAILED", message), fatal: false };
  }
}

function compareSignature(session: Session, layout: Layout): Fault | undefined {
  const sides = [
    ["input", session.inputMetadata, layout.inputs],
    ["output", session.outputMetadata, layout.outputs],
  ] as const;
  for (const [side, found, registered] of sides) {
    for (const tensor of registered) {
      const value = found.find(({ name }) => name === tensor.name);
      const type = value?.isTensor === true ? datatypeOf(value.type) : undefined;
      // BF16 reaches the runtime as FP32.
      const expected = tensor.datatype === "BF16" ? "FP32" : tensor.datatype;
      if (type === expected) continue;
      const given = value === undefined ? "does not have it" : `has ${type ?? "another type"}`;
      const wanted = `${side} ${tensor.name} is registered as ${tensor.datatype}`;
      return fault("LOAD_FAILED", `${wanted}, the file ${given}`);
    }
  }
  const extra = session.inputNames.find((name) =>
    layout.inputs.every((input) => input.name !== name),
  );
  if (extra === undefined) return undefined;
  return fault("LOAD_FAILED", `the file needs input ${extra}, which is not registered`);
}
