/** Every datatype of the protocol through onnxruntime and back. */

import { attribute, ELEMENT, encodeModel, model, node, valueInfo } from "@millrace/onnx";
import { type Datatype, ELEMENT_BYTES, encodeTensors, type Tensor } from "@millrace/protocol";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Engine, openEngine } from "../src/index.ts";
import { codeOf, load, numbers } from "./harness.ts";
import { identityModel, item, tensor, testModel } from "./models.ts";

const BUDGET = 512 * 1024 * 1024;
let engine: Engine;

beforeAll(async () => {
  engine = await openEngine({ device: "emulated", threads: 1, memoryBudgetBytes: BUDGET });
});

afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

describe("datatypes", () => {
  const numeric: Datatype[] = [
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BF16",
  ];
  test.each(numeric)("%s comes back bit for bit", async (datatype) => {
    const spec = await load(engine, identityModel(datatype));
    const size = 3 * ELEMENT_BYTES[datatype];
    const bits = (from: number): Uint8Array =>
      Uint8Array.from({ length: size }, (_, at) =>
        datatype === "BOOL" ? (from + at) % 2 : (37 * at + from) % 127,
      );
    const bodies = [bits(1), bits(2)].map((bytes) => [tensor(datatype, [1, 3], bytes)]);
    const result = await engine.run(
      spec,
      bodies.map((body) => item(1, body)),
    );
    expect(result.ok && result.outputs.map(({ body }) => body)).toEqual(bodies.map(encodeTensors));
    await engine.unload(`${spec.name}@1`);
  });

  test("BYTES comes back as it was, and what is not UTF-8 is refused", async () => {
    const spec = await load(engine, identityModel("BYTES"));
    const texts = (list: readonly string[]): Tensor => {
      const encoded = list.map((text) => new TextEncoder().encode(text));
      const bytes = Uint8Array.from(encoded.flatMap((text) => [text.length, 0, 0, 0, ...text]));
      return { datatype: "BYTES", dims: [1, 3], bytes };
    };
    const bodies = [[texts(["a", "", "öß"])], [texts(["\u{1f600}", "line\n", "x"])]];
    const result = await engine.run(
      spec,
      bodies.map((body) => item(1, body)),
    );
    expect(result.ok && result.outputs.map(({ body }) => body)).toEqual(bodies.map(encodeTensors));
    const bad = {
      ...texts(["a", "b", "c"]),
      bytes: Uint8Array.of(1, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0),
    };
    expect(codeOf(await engine.run(spec, [item(1, [bad])]))).toBe("WRONG_VALUE");
  });

  test("BF16 passes through nodes and subgraphs that use it", async () => {
    const bfloat = 16;
    const branch = (name: string, source: string) => ({
      name,
      node: [node("Identity", [source], [name])],
      initializer: [],
      input: [],
      output: [valueInfo(name, bfloat, ["N", 2])],
    });
    const chosen = testModel(
      {
        name: "chosen",
        inputs: [
          { name: "x", datatype: "BF16", shape: [-1, 2] },
          { name: "z", datatype: "BF16", shape: [-1, 2] },
        ],
        outputs: [{ name: "y", datatype: "BF16", shape: [-1, 2] }],
      },
      encodeModel(
        model({
          node: [
            node("If", ["yes"], ["y"], {
              then_branch: attribute.graph(branch("then", "x")),
              else_branch: attribute.graph(branch("else", "z")),
            }),
          ],
          initializer: [
            { name: "yes", dims: [], dataType: ELEMENT.BOOL, rawData: Uint8Array.of(1) },
          ],
          input: [valueInfo("x", bfloat, ["N", 2]), valueInfo("z", bfloat, ["N", 2])],
          output: [valueInfo("y", bfloat, ["N", 2])],
        }),
      ),
    );
    const spec = await load(engine, chosen);
    const halves = (...bits: number[]): Tensor => tensor("BF16", [1, 2], Uint16Array.from(bits));
    const result = await engine.run(spec, [item(1, [halves(0x3f80, 0xc000), halves(1, 2)])]);
    expect(numbers(result)).toEqual([[0x3f80, 0xc000]]);
  });
});
