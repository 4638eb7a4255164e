/** Writes an inference response of the Open Inference Protocol v2. */

import { ELEMENT_BYTES, type Fault, fault, JSON_BYTES_MAX, type Tensor } from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";
import { countStrings } from "./binary.ts";
import type { Signature, WantedOutput } from "./signature.ts";
import { elementsText } from "./texts.ts";

export interface InferResponse {
  readonly json: string;
  /**
   * Tensors that follow the JSON, in the order in which it names them; views, not copies. Where
   * there is one, the response needs `Inference-Header-Content-Length`: the bytes of the JSON.
   */
  readonly binary: readonly Uint8Array[];
}

/**
 * @param tensors the model's outputs in the order of the signature, as a worker answered them.
 * @returns INTERNAL when they are not what the signature promises.
 */
export function writeInferResponse(
  signature: Signature,
  id: string | undefined,
  wanted: readonly WantedOutput[],
  tensors: readonly Tensor[],
): Result<InferResponse, Fault> {
  if (tensors.length !== signature.outputs.length) {
    const counts = `${tensors.length} outputs, the signature has ${signature.outputs.length}`;
    return fail(fault("INTERNAL", counts));
  }
  const binary: Uint8Array[] = [];
  let outputs = "";
  let jsonBytes = 0;
  for (const { slot, binary: asBinary } of wanted) {
    const tensor = tensors[slot.at] as Tensor;
    if (!fits(tensor) || tensor.datatype !== slot.datatype) {
      return fail(
        fault("INTERNAL", `output "${slot.name}" does not fit its own shape or datatype`),
      );
    }
    if (outputs !== "") outputs += ",";
    outputs += `{${slot.json},"shape":[${tensor.dims.join(",")}],`;
    if (asBinary) {
      // Only here: clients take the presence of "parameters" for the presence of a size.
      outputs += `"parameters":{"binary_data_size":${tensor.bytes.length}}}`;
      binary.push(tensor.bytes);
    } else {
      jsonBytes += tensor.bytes.length;
      if (jsonBytes > JSON_BYTES_MAX) return fail(tooLarge(slot.name));
      outputs += `"data":[${elementsText(tensor)}]}`;
    }
  }
  const own = id === undefined ? "" : `"id":${JSON.stringify(id)},`;
  return ok({ json: `{${own}${signature.json},"outputs":[${outputs}]}`, binary });
}

/** I6: numbers as text are many times their size, and writing them keeps everybody waiting. */
const tooLarge = (name: string): Fault =>
  fault(
    "OUTPUT_TOO_LARGE",
    `with "${name}" the outputs are more than ${JSON_BYTES_MAX} bytes of tensors, too many for ` +
      'JSON: ask for them with "binary_data_output": true',
  );

function fits(tensor: Tensor): boolean {
  let elements = 1;
  for (const dimension of tensor.dims) elements *= dimension;
  const each = ELEMENT_BYTES[tensor.datatype];
  return each === 0
    ? countStrings(tensor.bytes) === elements
    : tensor.bytes.length === elements * each;
}
