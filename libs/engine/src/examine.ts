/**
 * The inspecting process: reads a model from standard input, opens it, tries it with one row and
 * with two, and writes what it saw to standard output as JSON. It runs untrusted files, so whoever
 * starts it bounds its time and memory; see `child.ts`.
 */

import { Worker } from "node:worker_threads";
import { widenBfloats } from "./bfloat.ts";
import { messageOf } from "./failure.ts";
import {
  datatypeOf,
  openSession,
  sampleFeeds,
  type Session,
  type SessionDevice,
} from "./session.ts";

export interface ExamineRequest {
  readonly device: SessionDevice;
  readonly bytes: number;
  readonly timeoutMs: number;
  /** The file has BF16 inputs or outputs. */
  readonly widen: boolean;
}

export interface SeenTensor {
  readonly name: string;
  /** As onnxruntime infers it; -1 for open dimensions, empty also where the rank is unknown. */
  readonly shape: readonly number[];
}

/** The outputs' dimensions in the order of the session, or why it did not run. */
export type Trial =
  | { readonly dims: readonly (readonly number[])[] }
  | { readonly message: string };

export type Examination =
  | {
      readonly ok: true;
      readonly inputs: readonly SeenTensor[];
      readonly outputs: readonly SeenTensor[];
      /** With one row and with two along the first axis, and 1 for other open dimensions. */
      readonly trials: readonly Trial[];
    }
  | { readonly ok: false; readonly message: string };

async function examine(file: Uint8Array, request: ExamineRequest): Promise<Examination> {
  try {
    const session = await openSession(request.widen ? widened(file) : file, request.device);
    return {
      ok: true,
      inputs: seen(session.inputMetadata),
      outputs: seen(session.outputMetadata),
      trials: [await tryRows(session, 1), await tryRows(session, 2)],
    };
  } catch (error) {
    return { ok: false, message: messageOf(error) };
  }
}

function widened(file: Uint8Array): Uint8Array {
  const result = widenBfloats(file);
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}

type Metadata = Session["inputMetadata"];

const seen = (metadata: Metadata): SeenTensor[] =>
  metadata.map((value) => ({
    name: value.name,
    shape: value.isTensor ? value.shape.map((size) => (typeof size === "number" ? size : -1)) : [],
  }));

/** A first dimension that is declared as a number stays that number. */
async function tryRows(session: Session, rows: number): Promise<Trial> {
  const inputs = session.inputMetadata.map((value, at) => ({
    name: value.name,
    datatype: (value.isTensor ? datatypeOf(value.type) : undefined) ?? "FP32",
    shape: (seen(session.inputMetadata)[at] as SeenTensor).shape.map((size, axis) =>
      axis === 0 && size === -1 ? rows : size,
    ),
    padAxis: 0,
  }));
  const layout = { inputs, outputs: [], maxBatch: 0, lengthMax: 0, fill: 0 };
  try {
    const results = await session.run(sampleFeeds(layout, rows));
    return { dims: session.outputNames.map((name) => results[name]?.dims ?? []) };
  } catch (error) {
    return { message: messageOf(error) };
  }
}

async function readInput(bytes: number): Promise<Uint8Array> {
  const file = new Uint8Array(bytes);
  let at = 0;
  for await (const chunk of process.stdin as AsyncIterable<Uint8Array>) {
    file.set(chunk, at);
    at += chunk.length;
  }
  return file;
}

const request = JSON.parse(process.argv[2] ?? "") as ExamineRequest;
// Whoever started this kills it in time; if that process was killed itself, this does it.
const guard = `setTimeout(() => process.kill(process.pid, "SIGKILL"), ${2 * request.timeoutMs})`;
new Worker(guard, { eval: true }).unref();
const examination = await examine(await readInput(request.bytes), request);
process.stdout.write(JSON.stringify(examination));
