/**
 * How a model's tensors lie in memory: what merging, running and splitting need of its signature,
 * prepared once per load.
 */

import type { Datatype, ModelSpec, TensorSpec } from "@millrace/protocol";

export interface TensorLayout {
  readonly name: string;
  readonly datatype: Datatype;
  /** -1 for a dimension that the request decides. */
  readonly shape: readonly number[];
  /** The axis along which requests may differ in length; 0, the batch axis, for none. */
  readonly padAxis: number;
}

export interface Layout {
  readonly inputs: readonly TensorLayout[];
  readonly outputs: readonly TensorLayout[];
  /** Most rows in one run; 0 where the first axis is not a batch. */
  readonly maxBatch: number;
  /** Longest input along the padded axis; 0 where nothing is padded. */
  readonly lengthMax: number;
  /** What inputs are padded with. */
  readonly fill: number;
}

export type Signature = Pick<ModelSpec, "inputs" | "outputs" | "maxBatch" | "padding">;

export function layoutOf(spec: Signature): Layout {
  // Without a batch there is nothing to pad for: every request runs at its own length.
  const padding = spec.maxBatch > 0 ? spec.padding : undefined;
  const layOut = (tensor: TensorSpec, padded: readonly string[] | undefined): TensorLayout => ({
    name: tensor.name,
    datatype: tensor.datatype,
    shape: tensor.shape,
    padAxis: padded?.includes(tensor.name) ? (padding?.axis ?? 0) : 0,
  });
  return {
    inputs: spec.inputs.map((input) => layOut(input, padding?.inputs)),
    outputs: spec.outputs.map((output) => layOut(output, padding?.outputs)),
    maxBatch: spec.maxBatch,
    lengthMax: padding?.lengthMax ?? 0,
    fill: padding?.value ?? 0,
  };
}

/** The number of elements of a shape; 1 for a scalar. */
export function elementCount(dims: readonly number[], from = 0, to = dims.length): number {
  let count = 1;
  for (let axis = from; axis < to; axis++) count *= dims[axis] as number;
  return count;
}

/**
 * The dimensions of an input when nobody has sent one yet: `rows` rows, padded axes at their
 * longest, and 1 for whatever else a request decides.
 */
export function sampleDims(tensor: TensorLayout, layout: Layout, rows: number): number[] {
  return tensor.shape.map((size, axis) => {
    if (axis === 0 && layout.maxBatch > 0) return rows;
    if (axis > 0 && axis === tensor.padAxis) return layout.lengthMax;
    return size === -1 ? 1 : size;
  });
}
