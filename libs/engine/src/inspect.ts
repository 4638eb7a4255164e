/**
 * Reads the signature of a model file of unknown origin: a pure scan first, then onnxruntime in a
 * process with limits. The worker that will serve the model meets no file that did not pass here.
 */

import { type ModelScan, type ModelValue, scanModel } from "@millrace/onnx";
import {
  checkValue,
  type Fault,
  fault,
  TENSORS_MAX,
  type TensorSpec,
  tensorSpecSchema,
} from "@millrace/protocol";
import { fail, formatBytes, ok, type Result } from "@millrace/std";
import { type ChildLimits, examineInChild } from "./child.ts";
import type { Examination, SeenTensor, Trial } from "./examine.ts";
import { fileFault } from "./failure.ts";

export interface InspectedModel {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** A first guess: 32 where every tensor's first dimension is open and grows with the input's. */
  readonly maxBatch: number;
}

const MAX_BATCH_GUESS = 32;
const ON_CPU = { device: "cpu", deviceIndex: 0, threads: 1, spin: false, rowUs: 0 } as const;

/**
 * Fails with MODEL_CORRUPT for what is not an ONNX model, MODEL_UNSUPPORTED for what onnxruntime or
 * the protocol cannot serve and for a file that takes longer than `timeoutMs` to open and try, and
 * MODEL_TOO_LARGE for one that takes more memory than `memoryBytesMax`.
 */
export async function inspectModel(
  file: Uint8Array,
  limits: ChildLimits,
): Promise<Result<InspectedModel, Fault>> {
  const scanned = scanModel(file);
  if (!scanned.ok) return scanned;
  const values = [...scanned.value.inputs, ...scanned.value.outputs];
  const wrong = values.find(({ datatype }) => datatype === undefined);
  if (wrong !== undefined) return unsupported(`${wrong.name} has a type that no request can carry`);
  const widen = values.some(({ datatype }) => datatype === "BF16");
  const outcome = await examineInChild(file, ON_CPU, limits, widen);
  switch (outcome.kind) {
    case "examined":
      return signatureOf(scanned.value, outcome.examination);
    case "timedOut":
      return unsupported(`opening and trying the model took longer than ${limits.timeoutMs} ms`);
    case "outgrew": {
      const limit = formatBytes(limits.memoryBytesMax);
      const message = `opening and trying the model took more than ${limit} of memory`;
      return fail(fault("MODEL_TOO_LARGE", message));
    }
    case "died":
      return unsupported(`onnxruntime ended while it read the model (${outcome.how})`);
  }
}

const unsupported = (message: string): Result<never, Fault> =>
  fail(fault("MODEL_UNSUPPORTED", message));

/** What the file says and what onnxruntime saw, as a signature; exported for tests. */
export function signatureOf(
  scan: Pick<ModelScan, "inputs" | "outputs">,
  examination: Examination,
): Result<InspectedModel, Fault> {
  if (!examination.ok) return fail(fileFault(examination.message));
  const [one, two] = examination.trials;
  const refused = one !== undefined && "message" in one ? fileFault(one.message) : undefined;
  if (refused?.code === "OUT_OF_MEMORY") return fail(fault("MODEL_TOO_LARGE", refused.message));
  const inputs = specsOf("input", scan.inputs, examination.inputs, undefined);
  if (!inputs.ok) return inputs;
  const outputs = specsOf("output", scan.outputs, examination.outputs, one);
  if (!outputs.ok) return outputs;
  const tensors = [...inputs.value, ...outputs.value];
  const batches = tensors.every(({ shape }) => shape[0] === -1) && growsWithRows(one, two);
  return ok({
    inputs: inputs.value,
    outputs: outputs.value,
    maxBatch: batches ? MAX_BATCH_GUESS : 0,
  });
}

/** Where one row ran, two must give two; where it did not, the declared shapes are all there is. */
function growsWithRows(one: Trial | undefined, two: Trial | undefined): boolean {
  if (one === undefined || "message" in one) return true;
  return two !== undefined && "dims" in two && two.dims.every((dims) => dims[0] === 2);
}

function specsOf(
  side: "input" | "output",
  values: readonly ModelValue[],
  tensors: readonly SeenTensor[],
  trial: Trial | undefined,
): Result<TensorSpec[], Fault> {
  if (tensors.length === 0) return unsupported(`the model has no ${side}s`);
  if (tensors.length > TENSORS_MAX) {
    return unsupported(
      `the model has ${tensors.length} ${side}s, at most ${TENSORS_MAX} are served`,
    );
  }
  const specs: TensorSpec[] = [];
  for (const [at, { name, shape: inferred }] of tensors.entries()) {
    const value = values.find((declared) => declared.name === name);
    let shape: readonly number[] | undefined = inferred;
    if (value?.dims === undefined && inferred.length === 0) {
      // onnxruntime gives an unknown rank as that of a scalar; what ran shows the true one.
      shape = trial !== undefined && "dims" in trial ? trial.dims[at]?.map(() => -1) : undefined;
    }
    if (shape === undefined) return unsupported(`${side} ${name} declares no shape`);
    const spec = checkValue(tensorSpecSchema, { name, datatype: value?.datatype, shape });
    if (!spec.ok) return unsupported(`${side} ${name}: ${spec.error.message}`);
    specs.push(spec.value);
  }
  return ok(specs);
}
