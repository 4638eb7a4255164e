/** A model's signature prepared for the hot path: slots by name, and JSON that repeats. */

import type { Datatype, ModelSpec } from "@millrace/protocol";

export interface InputSlot {
  /** Place in the signature. */
  readonly at: number;
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** Whether the model's padded axis is an axis of this input. */
  readonly padded: boolean;
}

export interface OutputSlot {
  readonly at: number;
  readonly name: string;
  readonly datatype: Datatype;
  /** `"name":"...","datatype":"..."`. */
  readonly json: string;
}

/** An output that the client asked for, and in which form. */
export interface WantedOutput {
  readonly slot: OutputSlot;
  readonly binary: boolean;
}

export interface Signature {
  readonly spec: ModelSpec;
  /** The first dimension of every input counts rows. */
  readonly batched: boolean;
  readonly inputs: readonly InputSlot[];
  readonly inputByName: ReadonlyMap<string, InputSlot>;
  readonly outputs: readonly OutputSlot[];
  readonly outputByName: ReadonlyMap<string, OutputSlot>;
  /** What a request gets that names no outputs. */
  readonly allAsJson: readonly WantedOutput[];
  readonly allAsBinary: readonly WantedOutput[];
  /** `"model_name":"...","model_version":"..."`. */
  readonly json: string;
}

const byName = <T extends { readonly name: string }>(slots: readonly T[]): ReadonlyMap<string, T> =>
  new Map(slots.map((slot) => [slot.name, slot]));

/** Once per model version; every request to it uses the result. */
export function prepareSignature(spec: ModelSpec): Signature {
  const inputs = spec.inputs.map(({ name, datatype, shape }, at) => ({
    at,
    name,
    datatype,
    shape,
    padded: spec.padding?.inputs.includes(name) ?? false,
  }));
  const outputs = spec.outputs.map(({ name, datatype }, at) => ({
    at,
    name,
    datatype,
    json: `"name":${JSON.stringify(name)},"datatype":"${datatype}"`,
  }));
  return {
    spec,
    batched: spec.maxBatch > 0,
    inputs,
    inputByName: byName(inputs),
    outputs,
    outputByName: byName(outputs),
    allAsJson: outputs.map((slot) => ({ slot, binary: false })),
    allAsBinary: outputs.map((slot) => ({ slot, binary: true })),
    json: `"model_name":"${spec.name}","model_version":"${spec.version}"`,
  };
}

/** FP16 and BF16 have no JSON form in the protocol: clients send and get them as binary data. */
export const hasJsonForm = <T extends Datatype>(datatype: T | "FP16" | "BF16"): datatype is T =>
  datatype !== "FP16" && datatype !== "BF16";
