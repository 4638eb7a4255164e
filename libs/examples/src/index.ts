export {
  BENCH_MODELS,
  type BenchModel,
  benchModel,
  type BenchModelName,
  benchModels,
} from "./bench.ts";
export {
  type ExampleModel,
  exampleModels,
  type ExampleSample,
  type SampleTensor,
} from "./models.ts";
export { PADDING_ID, tokenizeSms, TOKENS_MAX } from "./tokenizer.ts";
