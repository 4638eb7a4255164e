/**
 * Reads an inference request of the Open Inference Protocol v2: JSON alone, JSON with binary
 * tensors behind it, or a raw tensor. What it returns fits the model's signature and its limits;
 * what does not is refused with a code and in words before any memory is taken for it.
 */

import {
  BODY_BYTES_MAX,
  DEADLINE_US_MAX,
  type Fault,
  JSON_BYTES_MAX,
  STRINGS_MAX,
  PRIORITIES,
  type Tensor,
  tensorsBytes,
  type Tier,
} from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";
import { checkBinary, readRawTensor } from "./binary.ts";
import { recallHead, rememberHead } from "./heads.ts";
import { parseJson } from "./json.ts";
import { refusable, refuse, show } from "./refuse.ts";
import { countElements, measure, type Measures, readShape } from "./shapes.ts";
import { hasJsonForm, type InputSlot, type Signature, type WantedOutput } from "./signature.ts";
import { packValues } from "./values.ts";

export interface InferRequest extends Measures {
  /** The client's own id, given back in the response. */
  readonly id: string | undefined;
  /** In the order of the signature. Bytes that came as binary data are views into the body. */
  readonly tensors: readonly Tensor[];
  readonly tier: Tier;
  /** 0 where the request names none. */
  readonly timeoutUs: number;
  readonly outputs: readonly WantedOutput[];
}

type Fields = Readonly<Record<string, unknown>>;

const ID_LENGTH_MAX = 256;
const STANDARD: Tier = 1;
const NO_FIELDS: Fields = {};

/** Of another meaning here than their sender has in mind: refused, not ignored. */
const UNSUPPORTED = ["sequence_id", "shared_memory_region", "classification"];

/**
 * The value of the header `Inference-Header-Content-Length`: the size of the JSON before the binary
 * data, 0 for the raw form, undefined where the header is absent and the whole body is JSON.
 */
export function readHeaderLength(header: string | undefined): Result<number | undefined, Fault> {
  if (header === undefined || /^\d{1,10}$/.test(header)) {
    return ok(header === undefined ? undefined : Number(header));
  }
  const message = `Inference-Header-Content-Length is ${show(header)}, not a number of bytes`;
  return fail({ code: "INVALID_REQUEST", message });
}

/** @param headerBytes from {@link readHeaderLength}. */
export function parseInferRequest(
  signature: Signature,
  body: Uint8Array,
  headerBytes: number | undefined,
): Result<InferRequest, Fault> {
  return refusable(() => {
    const request =
      headerBytes === 0 ? readRaw(signature, body) : readJson(signature, body, headerBytes);
    // JSON can be shorter than the tensors that it stands for.
    if (tensorsBytes(request.tensors) > BODY_BYTES_MAX) {
      refuse("BODY_TOO_LARGE", `the tensors take more than ${BODY_BYTES_MAX} bytes`);
    }
    return request;
  });
}

function readRaw(signature: Signature, body: Uint8Array): InferRequest {
  const tensors = [readRawTensor(signature, body)];
  const { rows, length, shapeKey } = measure(signature, tensors);
  const outputs = signature.allAsBinary;
  return { id: undefined, tensors, rows, length, shapeKey, tier: STANDARD, timeoutUs: 0, outputs };
}

function readJson(
  signature: Signature,
  body: Uint8Array,
  headerBytes: number | undefined,
): InferRequest {
  const jsonBytes = headerBytes ?? body.length;
  const recalled = recallHead(signature, body, jsonBytes);
  if (recalled !== undefined) return recalled;
  if (jsonBytes > body.length) {
    refuse("TRUNCATED_BODY", `${jsonBytes} bytes of JSON announced, the body has ${body.length}`);
  }
  if (jsonBytes > JSON_BYTES_MAX) {
    refuse(
      "BODY_TOO_LARGE",
      `${jsonBytes} bytes of JSON, at most ${JSON_BYTES_MAX}; send large tensors as binary data`,
    );
  }
  const request = fields(parseJson(body.subarray(0, jsonBytes)), "the request");
  const { id } = request;
  if (id !== undefined && (typeof id !== "string" || id.length > ID_LENGTH_MAX)) {
    refuse("INVALID_REQUEST", `"id" must be a string of at most ${ID_LENGTH_MAX} characters`);
  }
  const parameters = readParameters(request, "the request");
  const binary = headerBytes === undefined ? undefined : body.subarray(jsonBytes);
  const tensors = readInputs(signature, request["inputs"], binary);
  const { rows, length, shapeKey } = measure(signature, tensors);
  const read = {
    id,
    tensors,
    rows,
    length,
    shapeKey,
    tier: readTier(parameters["priority"]),
    timeoutUs: readTimeout(parameters["timeout"]),
    outputs: readOutputs(signature, request["outputs"], parameters["binary_data_output"]),
  };
  if (headerBytes !== undefined) rememberHead(signature, body, jsonBytes, read);
  return read;
}

/** @param binary what follows the JSON; undefined where the client announced none. */
function readInputs(
  signature: Signature,
  inputs: unknown,
  binary: Uint8Array | undefined,
): readonly Tensor[] {
  if (!Array.isArray(inputs)) return refuse("INVALID_REQUEST", '"inputs" must be an array');
  const tensors: (Tensor | undefined)[] = signature.inputs.map(() => undefined);
  let used = 0;
  for (const value of inputs) {
    const input = fields(value, "an input");
    const slot = readSlot(signature, input["name"]);
    if (tensors[slot.at] !== undefined) {
      refuse("DUPLICATE_INPUT", `input ${show(slot.name)} was given twice`);
    }
    const tensor = readTensor(slot, input, binary, used);
    tensors[slot.at] = tensor;
    if (input["data"] === undefined) used += tensor.bytes.length;
  }
  const missing = tensors.indexOf(undefined);
  if (missing !== -1) {
    refuse("MISSING_INPUT", `input ${show(signature.inputs[missing]?.name)} is missing`);
  }
  if (binary !== undefined && used !== binary.length) {
    const found = `${binary.length} bytes follow the JSON`;
    refuse("WRONG_BYTE_COUNT", `${found}, the inputs' binary_data_size add up to ${used}`);
  }
  return tensors as Tensor[];
}

function readSlot(signature: Signature, name: unknown): InputSlot {
  const slot = typeof name === "string" ? signature.inputByName.get(name) : undefined;
  if (slot !== undefined) return slot;
  if (typeof name !== "string") return refuse("INVALID_REQUEST", "an input has no name");
  const known = show(signature.inputs.map((input) => input.name));
  return refuse("UNKNOWN_INPUT", `no input ${show(name)}; the model has ${known}`);
}

function readTensor(
  slot: InputSlot,
  input: Fields,
  binary: Uint8Array | undefined,
  used: number,
): Tensor {
  const { datatype } = slot;
  if (input["datatype"] !== datatype) {
    const found = show(input["datatype"]);
    refuse("WRONG_DATATYPE", `input ${show(slot.name)}: datatype ${found}, expected "${datatype}"`);
  }
  const dims = readShape(slot, input["shape"]);
  const elements = countElements(slot, dims);
  if (datatype === "BYTES" && elements > STRINGS_MAX) {
    refuse(
      "BODY_TOO_LARGE",
      `input ${show(slot.name)} has ${elements} strings, at most ${STRINGS_MAX}`,
    );
  }
  const size = readParameters(input, "an input")["binary_data_size"];
  const data = input["data"];
  if ((size === undefined) === (data === undefined)) {
    refuse(
      "INVALID_REQUEST",
      `input ${show(slot.name)} needs either "data" or the parameter binary_data_size`,
    );
  }
  if (size === undefined) {
    return { datatype, dims, bytes: packValues(slot, dims, elements, data) };
  }
  const bytes = takeBinary(slot, size, binary, used);
  checkBinary(slot, elements, bytes);
  return { datatype, dims, bytes };
}

function takeBinary(
  slot: InputSlot,
  size: unknown,
  binary: Uint8Array | undefined,
  used: number,
): Uint8Array {
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
    return refuse(
      "INVALID_PARAMETER",
      `input ${show(slot.name)}: binary_data_size is ${show(size)}, not a number of bytes`,
    );
  }
  if (binary === undefined) {
    return refuse(
      "INVALID_REQUEST",
      `input ${show(slot.name)} is binary data, but Inference-Header-Content-Length is missing`,
    );
  }
  if (size > binary.length - used) {
    refuse(
      "TRUNCATED_BODY",
      `input ${show(slot.name)}: ${size} bytes announced, ${binary.length - used} are left`,
    );
  }
  return binary.subarray(used, used + size);
}

function readOutputs(
  signature: Signature,
  outputs: unknown,
  binaryOutput: unknown,
): readonly WantedOutput[] {
  const binary = readFlag(binaryOutput, "binary_data_output") ?? false;
  let wanted = binary ? signature.allAsBinary : signature.allAsJson;
  if (outputs !== undefined) {
    if (!Array.isArray(outputs) || outputs.length > signature.outputs.length) {
      const most = signature.outputs.length;
      refuse("INVALID_REQUEST", `"outputs" must be an array of at most ${most} outputs`);
    }
    if (outputs.length > 0) wanted = outputs.map((one) => readOutput(signature, one, binary));
    if (new Set(wanted.map(({ slot }) => slot)).size !== wanted.length) {
      refuse("INVALID_REQUEST", "an output was asked for twice");
    }
  }
  for (const { slot, binary: asBinary } of wanted) {
    if (asBinary || hasJsonForm(slot.datatype)) continue;
    refuse(
      "INVALID_PARAMETER",
      `output ${show(slot.name)}: ${slot.datatype} has no JSON form; ask for it with the` +
        " parameter binary_data: true, or for all with binary_data_output: true",
    );
  }
  return wanted;
}

function readOutput(signature: Signature, value: unknown, otherwise: boolean): WantedOutput {
  const output = fields(value, "an output");
  const { name } = output;
  const slot = typeof name === "string" ? signature.outputByName.get(name) : undefined;
  if (slot === undefined) {
    const known = show(signature.outputs.map((one) => one.name));
    return refuse("UNKNOWN_OUTPUT", `no output ${show(name)}; the model has ${known}`);
  }
  const flag = readParameters(output, "an output")["binary_data"];
  return { slot, binary: readFlag(flag, "binary_data") ?? otherwise };
}

function readFlag(value: unknown, name: string): boolean | undefined {
  if (value === undefined || typeof value === "boolean") return value;
  return refuse("INVALID_PARAMETER", `${name} is ${show(value)}; it takes true or false`);
}

/** `realtime`, `standard`, `batch`, or 1 to 3 in that order; 0 is the default, standard. */
function readTier(value: unknown): Tier {
  if (value === undefined || value === 0) return STANDARD;
  const tier = typeof value === "number" ? value - 1 : PRIORITIES.indexOf(value as never);
  if (tier === 0 || tier === 1 || tier === 2) return tier;
  return refuse(
    "INVALID_PARAMETER",
    `priority is ${show(value)}; it takes "realtime", "standard", "batch", or 0 to 3`,
  );
}

function readTimeout(value: unknown): number {
  if (value === undefined) return 0;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) {
    if (value <= DEADLINE_US_MAX) return value;
  }
  return refuse(
    "INVALID_PARAMETER",
    `timeout is ${show(value)}; it takes whole microseconds up to ${DEADLINE_US_MAX}`,
  );
}

function readParameters(owner: Fields, what: string): Fields {
  const { parameters } = owner;
  if (parameters === undefined) return NO_FIELDS;
  const read = fields(parameters, `"parameters" of ${what}`);
  for (const name of UNSUPPORTED) {
    // Clients send 0 for "no sequence".
    if (read[name] !== undefined && read[name] !== 0) {
      refuse("UNSUPPORTED", `the parameter ${name} is not supported`);
    }
  }
  return read;
}

function fields(value: unknown, what: string): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  return refuse("INVALID_REQUEST", `${what} must be a JSON object`);
}
