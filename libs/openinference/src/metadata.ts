/**
 * The documents that describe a server and its models. Names and fields are those that the clients
 * of Triton and perf_analyzer read; figures are the caller's.
 */

import type { Datatype, ModelRecord, ModelSpec, TensorSpec } from "@millrace/protocol";

/** What `GET /v2` lists. `statistics` makes perf_analyzer read the figures of `/stats`. */
export const EXTENSIONS = [
  "binary_tensor_data",
  "model_configuration",
  "model_repository",
  "schedule_policy",
  "statistics",
] as const;

const PLATFORM = "onnxruntime_onnx";

export const serverMetadata = (version: string): unknown => ({
  name: "millrace",
  version,
  extensions: EXTENSIONS,
});

/** Shapes contain the batch dimension, as -1. */
export const modelMetadata = (record: ModelRecord, spec: ModelSpec): unknown => ({
  name: spec.name,
  versions: Object.keys(record.versions),
  platform: PLATFORM,
  inputs: spec.inputs.map(tensorMetadata),
  outputs: spec.outputs.map(tensorMetadata),
  // Left out by JSON where the model has none: how images and texts become its input, and what its
  // outputs are called.
  labels: spec.labels,
  image: spec.image,
  text: spec.text,
});

const tensorMetadata = ({ name, datatype, shape }: TensorSpec): unknown => ({
  name,
  datatype,
  shape,
});

/** `dims` leave out the batch dimension where `max_batch_size` is above 0. */
export function modelConfig(spec: ModelSpec): unknown {
  const tensor = ({ name, datatype, shape }: TensorSpec): unknown => ({
    name,
    data_type: configType(datatype),
    dims: spec.maxBatch > 0 ? shape.slice(1) : shape,
  });
  return {
    name: spec.name,
    platform: PLATFORM,
    backend: "onnxruntime",
    version_policy: { specific: { versions: [spec.version] } },
    max_batch_size: spec.maxBatch,
    input: spec.inputs.map(tensor),
    output: spec.outputs.map(tensor),
    ...(spec.maxBatch > 0 ? { dynamic_batching: {} } : {}),
    model_transaction_policy: { decoupled: false },
  };
}

const configType = (datatype: Datatype): string =>
  datatype === "BYTES" ? "TYPE_STRING" : `TYPE_${datatype}`;

/** A count, and the microseconds that they took together. */
export interface Figure {
  readonly count: number;
  readonly us: number;
}

export interface ModelFigures {
  readonly name: string;
  readonly version: number;
  /** Of the last answer, in milliseconds since 1970; 0 before the first. */
  readonly lastInferenceMs: number;
  /** Rows answered, and the batches that they ran in. */
  readonly rows: number;
  readonly executions: number;
  readonly success: Figure;
  readonly failure: Figure;
  readonly queue: Figure;
  readonly compute: Figure;
  /** Per rows of a batch. */
  readonly batches: ReadonlyMap<number, Figure>;
}

/** Every count is a whole number: clients read them as unsigned integers. */
export const modelStats = (models: readonly ModelFigures[]): unknown => ({
  model_stats: models.map((model) => ({
    name: model.name,
    version: String(model.version),
    last_inference: model.lastInferenceMs,
    inference_count: model.rows,
    execution_count: Math.round(model.executions),
    inference_stats: {
      success: duration(model.success),
      fail: duration(model.failure),
      queue: duration(model.queue),
      // Stacking inputs and splitting outputs are part of what a worker measures as compute.
      compute_input: NOTHING,
      compute_infer: duration(model.compute),
      compute_output: NOTHING,
      cache_hit: NOTHING,
      cache_miss: NOTHING,
    },
    batch_stats: [...model.batches].map(([rows, figure]) => ({
      batch_size: rows,
      compute_input: NOTHING,
      compute_infer: duration(figure),
      compute_output: NOTHING,
    })),
  })),
});

const NOTHING = { count: 0, ns: 0 };

const duration = ({ count, us }: Figure): unknown => ({
  count: Math.round(count),
  ns: Math.round(us * 1000),
});

export interface IndexEntry {
  readonly name: string;
  readonly version: number;
  readonly ready: boolean;
  /** Why it is not ready. */
  readonly reason: string;
}

export const repositoryIndex = (entries: readonly IndexEntry[]): unknown =>
  entries.map(({ name, version, ready, reason }) => ({
    name,
    version: String(version),
    state: ready ? "READY" : "UNAVAILABLE",
    reason,
  }));

/** The error form: a sentence for people and a code of the catalogue for programs. */
export const errorDocument = (code: string, message: string): string =>
  JSON.stringify({ error: message, code });
