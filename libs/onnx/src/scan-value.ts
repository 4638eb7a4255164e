/** Reads a model's inputs and outputs from an untrusted file: names, element types, dimensions. */

import { type Datatype, FaultError, TENSOR_RANK_MAX } from "@millrace/protocol";
import { ELEMENT_TYPES } from "./elements.ts";
import { corrupt, shown, type WireReader } from "./reader.ts";

const NAME_LENGTH_MAX = 256;

/** One input or output. */
export interface ModelValue {
  readonly name: string;
  /** ONNX's own number, see `ELEMENT_TYPES`. */
  readonly elementType: number;
  /** Undefined where the Open Inference Protocol cannot carry the element type. */
  readonly datatype: Datatype | undefined;
  /** A size, the name of one that the request decides, or -1; undefined where none are given. */
  readonly dims: readonly (number | string)[] | undefined;
}

/** @param role `input` or `output`, for messages */
export function scanValue(reader: WireReader, role: string): ModelValue {
  let name = "";
  let type: Pick<ModelValue, "elementType" | "dims"> | undefined;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) name = reader.string();
    else if (field === 2) type = scanType(reader.message(), role);
    else reader.skip();
  }
  if (name === "" || name.length > NAME_LENGTH_MAX) {
    throw corrupt(`an ${role} has a name of ${name.length} characters, expected 1 to 256`);
  }
  const element = ELEMENT_TYPES.get(type?.elementType ?? 0);
  if (type === undefined || element === undefined) {
    throw new FaultError(
      "MODEL_UNSUPPORTED",
      `${role} ${shown(name)} is no tensor, expected a tensor`,
    );
  }
  return { name, ...type, datatype: element.datatype };
}

function scanType(
  reader: WireReader,
  role: string,
): Pick<ModelValue, "elementType" | "dims"> | undefined {
  let type: Pick<ModelValue, "elementType" | "dims"> | undefined;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) type = scanTensorType(reader.message(), role);
    else reader.skip();
  }
  return type;
}

function scanTensorType(
  reader: WireReader,
  role: string,
): Pick<ModelValue, "elementType" | "dims"> {
  let elementType = 0;
  let dims: (number | string)[] | undefined;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) elementType = Number(reader.int());
    else if (field === 2) dims = scanShape(reader.message(), role);
    else reader.skip();
  }
  return { elementType, dims };
}

function scanShape(reader: WireReader, role: string): (number | string)[] {
  const dims: (number | string)[] = [];
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field !== 1) {
      reader.skip();
    } else if (dims.push(scanDimension(reader.message(), role)) > TENSOR_RANK_MAX) {
      throw new FaultError(
        "MODEL_UNSUPPORTED",
        `an ${role} has more than ${TENSOR_RANK_MAX} dimensions`,
      );
    }
  }
  return dims;
}

function scanDimension(reader: WireReader, role: string): number | string {
  let dim: number | bigint | string = -1;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) dim = reader.int();
    else if (field === 2) dim = reader.string() || -1;
    else reader.skip();
  }
  if (typeof dim === "bigint")
    throw corrupt(`an ${role} has dimension ${dim}, expected less than 2^53`);
  // Some exporters write a negative size for one that the request decides.
  return typeof dim === "number" && dim < 0 ? -1 : dim;
}
