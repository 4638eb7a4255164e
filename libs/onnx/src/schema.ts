/**
 * The messages of onnx.proto that Millrace reads and writes, as data. A field that is not here is
 * kept verbatim by the codec. Source: onnx.proto and onnx-ml.proto of ONNX 1.19 (proto2).
 */

export type MessageName =
  | "Model"
  | "Opset"
  | "Entry"
  | "Graph"
  | "Node"
  | "Attribute"
  | "Tensor"
  | "SparseTensor"
  | "ValueInfo"
  | "Type"
  | "TensorType"
  | "Shape"
  | "Dimension";

export type ScalarKind = "int" | "float" | "double" | "string" | "bytes";

export interface Field {
  readonly number: number;
  readonly name: string;
  readonly kind: ScalarKind | "message";
  /** Set for messages only. */
  readonly message?: MessageName;
  readonly repeated: boolean;
  /** The usual form of a repeated number; proto2 packs only where the schema says so. */
  readonly packed: boolean;
}

/** Fields stand in ascending order of their numbers, which is the order of the file. */
export interface MessageSchema {
  readonly fields: readonly Field[];
  readonly byNumber: ReadonlyMap<number, Field>;
}

type Type = ScalarKind | MessageName;
type Suffix = "" | "[]" | "[packed]";
type Columns = Readonly<Record<number, readonly [name: string, type: `${Type}${Suffix}`]>>;

const SCALARS: readonly string[] = ["int", "float", "double", "string", "bytes"];

function messageSchema(columns: Columns): MessageSchema {
  const fields = Object.entries(columns).map(([number, [name, type]]): Field => {
    const bracket = type.indexOf("[");
    const base = bracket < 0 ? type : type.slice(0, bracket);
    const common = {
      number: Number(number),
      name,
      repeated: bracket >= 0,
      packed: type.endsWith("[packed]"),
    };
    return SCALARS.includes(base)
      ? { ...common, kind: base as ScalarKind }
      : { ...common, kind: "message", message: base as MessageName };
  });
  return { fields, byNumber: new Map(fields.map((field) => [field.number, field])) };
}

export const SCHEMAS: Readonly<Record<MessageName, MessageSchema>> = {
  Model: messageSchema({
    1: ["irVersion", "int"],
    2: ["producerName", "string"],
    3: ["producerVersion", "string"],
    4: ["domain", "string"],
    5: ["modelVersion", "int"],
    6: ["docString", "string"],
    7: ["graph", "Graph"],
    8: ["opsetImport", "Opset[]"],
    14: ["metadataProps", "Entry[]"],
  }),
  Opset: messageSchema({ 1: ["domain", "string"], 2: ["version", "int"] }),
  Entry: messageSchema({ 1: ["key", "string"], 2: ["value", "string"] }),
  Graph: messageSchema({
    1: ["node", "Node[]"],
    2: ["name", "string"],
    5: ["initializer", "Tensor[]"],
    10: ["docString", "string"],
    11: ["input", "ValueInfo[]"],
    12: ["output", "ValueInfo[]"],
    13: ["valueInfo", "ValueInfo[]"],
    15: ["sparseInitializer", "SparseTensor[]"],
    16: ["metadataProps", "Entry[]"],
  }),
  Node: messageSchema({
    1: ["input", "string[]"],
    2: ["output", "string[]"],
    3: ["name", "string"],
    4: ["opType", "string"],
    5: ["attribute", "Attribute[]"],
    6: ["docString", "string"],
    7: ["domain", "string"],
    8: ["overload", "string"],
    9: ["metadataProps", "Entry[]"],
  }),
  Attribute: messageSchema({
    1: ["name", "string"],
    2: ["f", "float"],
    3: ["i", "int"],
    4: ["s", "bytes"],
    5: ["t", "Tensor"],
    6: ["g", "Graph"],
    7: ["floats", "float[]"],
    8: ["ints", "int[]"],
    9: ["strings", "bytes[]"],
    10: ["tensors", "Tensor[]"],
    11: ["graphs", "Graph[]"],
    13: ["docString", "string"],
    20: ["type", "int"],
    21: ["refAttrName", "string"],
    22: ["sparseTensor", "SparseTensor"],
    23: ["sparseTensors", "SparseTensor[]"],
  }),
  Tensor: messageSchema({
    1: ["dims", "int[]"],
    2: ["dataType", "int"],
    4: ["floatData", "float[packed]"],
    5: ["int32Data", "int[packed]"],
    6: ["stringData", "bytes[]"],
    7: ["int64Data", "int[packed]"],
    8: ["name", "string"],
    9: ["rawData", "bytes"],
    10: ["doubleData", "double[packed]"],
    11: ["uint64Data", "int[packed]"],
    12: ["docString", "string"],
    13: ["externalData", "Entry[]"],
    14: ["dataLocation", "int"],
  }),
  SparseTensor: messageSchema({
    1: ["values", "Tensor"],
    2: ["indices", "Tensor"],
    3: ["dims", "int[]"],
  }),
  ValueInfo: messageSchema({
    1: ["name", "string"],
    2: ["type", "Type"],
    3: ["docString", "string"],
  }),
  Type: messageSchema({ 1: ["tensorType", "TensorType"], 6: ["denotation", "string"] }),
  TensorType: messageSchema({ 1: ["elemType", "int"], 2: ["shape", "Shape"] }),
  Shape: messageSchema({ 1: ["dim", "Dimension[]"] }),
  Dimension: messageSchema({
    1: ["dimValue", "int"],
    2: ["dimParam", "string"],
    3: ["denotation", "string"],
  }),
};
