/** What tests of a running engine share: loading a model, and reading results as numbers. */

import { decodeTensors, type ModelSpec, type Tensor } from "@millrace/protocol";
import type { Engine, EngineResult } from "../src/index.ts";
import { elements, type TestModel } from "./models.ts";

export async function load(on: Engine, { spec, file }: TestModel): Promise<ModelSpec> {
  const loaded = await on.load(spec, file());
  if ("code" in loaded) throw new Error(`${loaded.code}: ${loaded.message}`);
  return spec;
}

export function outputsOf(result: EngineResult): readonly (readonly Tensor[])[] {
  if (!result.ok) throw new Error(`${result.fault.code}: ${result.fault.message}`);
  return result.outputs.map(({ body }) => {
    const decoded = decodeTensors(body);
    if (!decoded.ok) throw new Error(decoded.error.message);
    return decoded.value;
  });
}

export const numbers = (result: EngineResult, output = 0): number[][] =>
  outputsOf(result).map((tensors) => elements(tensors[output] as Tensor));

export const codeOf = (result: EngineResult): string => (result.ok ? "none" : result.fault.code);

export const ones = (count: number): number[] => Array.from({ length: count }, () => 1);
