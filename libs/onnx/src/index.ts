export {
  attribute,
  type AttributeValue,
  f32,
  i32,
  i64,
  IR_VERSION,
  model,
  node,
  OPSET_VERSION,
  rawTensor,
  valueInfo,
} from "./build.ts";
export { decodeModel } from "./decode.ts";
export { ELEMENT, ELEMENT_TYPES, type ElementStorage, type ElementType } from "./elements.ts";
export { encodeModel } from "./encode.ts";
export type {
  Integer,
  OnnxAttribute,
  OnnxDimension,
  OnnxEntry,
  OnnxGraph,
  OnnxModel,
  OnnxNode,
  OnnxOpsetImport,
  OnnxSparseTensor,
  OnnxTensor,
  OnnxTensorType,
  OnnxType,
  OnnxValueInfo,
  UnknownField,
} from "./model.ts";
export {
  type ModelScan,
  type ModelValue,
  SCAN_LIMITS,
  type ScanLimits,
  scanModel,
} from "./scan.ts";
