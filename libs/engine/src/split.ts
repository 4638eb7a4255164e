/**
 * One batch's outputs become many answers: each item gets its own rows, cut back to its own length
 * where an output has the padded axis, encoded for the wire. All bodies share one allocation, so
 * one buffer is handed back to the thread that answers.
 */

import {
  BODY_BYTES_MAX,
  ByteWriter,
  ELEMENT_BYTES,
  type Fault,
  fault,
  type Tensor,
  tensorsBytes,
  writeTensors,
} from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";
import { elementCount, type Layout, type TensorLayout } from "./layout.ts";
import { writeStrings } from "./strings.ts";

/** An output as the runtime gives it: row-major bytes, or strings for BYTES. */
export interface OutputTensor {
  readonly dims: readonly number[];
  readonly data: Uint8Array | readonly string[];
}

export interface SplitOutputs {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where each item's body ends in `bytes`; it begins where the one before ends. */
  readonly ends: readonly number[];
}

/** Rows and length of the tensors that ran, padding included. */
export interface RanShape {
  readonly rows: number;
  readonly length: number;
}

/**
 * @param items rows and length per item, in pairs
 * Fails with EXECUTION_FAILED, naming the output, where an output does not have the batch's rows or
 * length, and with OUTPUT_TOO_LARGE where one item's outputs pass the limit of a body.
 */
export function splitOutputs(
  layout: Layout,
  outputs: readonly OutputTensor[],
  ran: RanShape,
  items: Int32Array,
): Result<SplitOutputs, Fault> {
  const wrong = checkOutputs(layout, outputs, ran);
  if (wrong !== undefined) return fail(wrong);
  const bodies: Tensor[][] = [];
  let size = 0;
  let row = 0;
  for (let at = 0; at < items.length; at += 2) {
    const rows = items[at] as number;
    const length = items[at + 1] as number;
    const tensors = layout.outputs.map((output, index) =>
      sliceOutput(layout, output, outputs[index] as OutputTensor, row, rows, length),
    );
    const bytes = tensorsBytes(tensors);
    if (bytes > BODY_BYTES_MAX) {
      const message = `the outputs take ${bytes} bytes, at most ${BODY_BYTES_MAX}`;
      return fail(fault("OUTPUT_TOO_LARGE", message));
    }
    bodies.push(tensors);
    size += bytes;
    row += rows; // I2: the items' row ranges are disjoint
  }
  const writer = new ByteWriter(size);
  const ends = bodies.map((tensors) => {
    writeTensors(writer, tensors);
    return writer.at;
  });
  return ok({ bytes: writer.bytes as Uint8Array<ArrayBuffer>, ends });
}

function checkOutputs(
  layout: Layout,
  outputs: readonly OutputTensor[],
  ran: RanShape,
): Fault | undefined {
  if (layout.maxBatch === 0) return undefined;
  for (const [at, { name, padAxis }] of layout.outputs.entries()) {
    const { dims } = outputs[at] as OutputTensor;
    const given = `output ${name} has shape [${dims.join(",")}]`;
    if (dims[0] !== ran.rows) {
      return fault("EXECUTION_FAILED", `${given}, its first should be ${ran.rows}`);
    }
    if (padAxis > 0 && dims[padAxis] !== ran.length) {
      return fault("EXECUTION_FAILED", `${given}, dimension ${padAxis} should be ${ran.length}`);
    }
  }
  return undefined;
}

function sliceOutput(
  layout: Layout,
  output: TensorLayout,
  tensor: OutputTensor,
  row: number,
  rows: number,
  length: number,
): Tensor {
  const { datatype, padAxis } = output;
  const dims = [...tensor.dims];
  let from = 0;
  let count = elementCount(dims);
  if (layout.maxBatch > 0) {
    const perRow = elementCount(dims, 1);
    from = row * perRow;
    count = rows * perRow;
    dims[0] = rows;
  }
  // Lengths along the padded axis, in elements: as it ran, and as the item sent it.
  const inner = elementCount(dims, padAxis + 1);
  const ranChunk = padAxis > 0 ? (dims[padAxis] as number) * inner : count;
  const chunk = padAxis > 0 ? length * inner : count;
  if (padAxis > 0) dims[padAxis] = length;
  if (tensor.data instanceof Uint8Array) {
    const size = ELEMENT_BYTES[datatype];
    const view = tensor.data.subarray(from * size, (from + count) * size);
    const bytes = chunk < ranChunk ? cutBytes(view, ranChunk * size, chunk * size) : view;
    return { datatype, dims, bytes };
  }
  const strings: string[] = [];
  for (let at = from; at < from + count; at += ranChunk) {
    for (let element = at; element < at + chunk; element++) {
      strings.push(tensor.data[element] as string);
    }
  }
  return { datatype, dims, bytes: writeStrings(strings) };
}

/** Keeps the first `chunk` bytes of every `stride`. */
function cutBytes(bytes: Uint8Array, stride: number, chunk: number): Uint8Array {
  const cut = new Uint8Array((bytes.length / stride) * chunk);
  for (let from = 0, to = 0; from < bytes.length; from += stride, to += chunk) {
    cut.set(bytes.subarray(from, from + chunk), to);
  }
  return cut;
}
