export {
  errorDocument,
  EXTENSIONS,
  type Figure,
  type IndexEntry,
  modelConfig,
  type ModelFigures,
  modelMetadata,
  modelStats,
  repositoryIndex,
  serverMetadata,
} from "./metadata.ts";
export { checkNesting, DEPTH_MAX } from "./json.ts";
export { type InferRequest, parseInferRequest, readHeaderLength } from "./request.ts";
export { type InferResponse, writeInferResponse } from "./response.ts";
export {
  type InputSlot,
  type OutputSlot,
  prepareSignature,
  type Signature,
  type WantedOutput,
} from "./signature.ts";
