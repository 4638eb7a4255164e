/**
 * ONNX bytes to records, driven by the table in `schema.ts`. Byte fields are views into the file.
 * For files of unknown origin call `scanModel` first: a decoded model takes many times the memory
 * of its file when the file is made of tiny messages.
 */

import { type Fault, FaultError } from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";
import type { Integer, OnnxModel, UnknownField } from "./model.ts";
import { corrupt, WireReader } from "./reader.ts";
import { type Field, type MessageName, SCHEMAS } from "./schema.ts";

/** Four nested subgraphs are 16 messages deep; protobuf itself stops at 100. */
const MESSAGE_DEPTH_MAX = 64;

type Decoded = Record<string, unknown> & {
  unknownFields?: UnknownField[];
  otherForm?: number[];
};

/** Fails with MODEL_CORRUPT, saying at which byte and what was expected. */
export function decodeModel(file: Uint8Array): Result<OnnxModel, Fault> {
  try {
    return ok(decodeMessage("Model", new WireReader(file), 0) as unknown as OnnxModel);
  } catch (error) {
    if (error instanceof FaultError) return fail(error.fault);
    throw error;
  }
}

function decodeMessage(name: MessageName, reader: WireReader, depth: number): Decoded {
  if (depth > MESSAGE_DEPTH_MAX) {
    throw corrupt(`messages are nested more than ${MESSAGE_DEPTH_MAX} deep`);
  }
  const schema = SCHEMAS[name];
  const message: Decoded = {};
  for (const field of schema.fields) if (field.repeated) message[field.name] = [];
  for (let number = reader.next(); number !== 0; number = reader.next()) {
    const field = schema.byNumber.get(number);
    if (field === undefined) {
      (message.unknownFields ??= []).push({ number, bytes: reader.skip() });
    } else if (field.repeated) {
      decodeInto(message, field, reader, depth);
    } else if (message[field.name] === undefined) {
      message[field.name] = decodeOne(field, reader, depth);
    } else {
      throw corrupt(`${name}.${field.name} is there twice, expected once`);
    }
  }
  return message;
}

function decodeInto(message: Decoded, field: Field, reader: WireReader, depth: number): void {
  const values = message[field.name] as unknown[];
  if (field.kind !== "int" && field.kind !== "float" && field.kind !== "double") {
    values.push(decodeOne(field, reader, depth));
    return;
  }
  if (reader.packed !== field.packed && !message.otherForm?.includes(field.number)) {
    (message.otherForm ??= []).push(field.number);
  }
  const push = (value: Integer): unknown => values.push(value);
  if (field.kind === "int") reader.ints(push);
  else if (field.kind === "float") reader.floats(push);
  else reader.doubles(push);
}

function decodeOne(field: Field, reader: WireReader, depth: number): unknown {
  switch (field.kind) {
    case "int":
      return reader.int();
    case "float":
      return reader.float();
    case "double":
      return reader.double();
    case "string":
      return reader.string();
    case "bytes":
      return reader.bytes();
    case "message":
      return decodeMessage(field.message as MessageName, reader.message(), depth + 1);
  }
}
