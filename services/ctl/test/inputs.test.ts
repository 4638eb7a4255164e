/** From the command line's words to a request of the Open Inference Protocol, and back to words. */

import { encode } from "fast-png";
import { describe, expect, test } from "vitest";
import {
  binaryBody,
  imageTensor,
  jsonBody,
  type Metadata,
  rawTensor,
  requestFromJson,
  splitPairs,
  tokenRequest,
} from "../src/inputs.ts";
import { splitModel } from "../src/names.ts";
import { renderAnswer } from "../src/outputs.ts";

const metadata = (change: Partial<Metadata> = {}): Metadata => ({
  name: "m",
  inputs: [{ name: "x", datatype: "FP32", shape: [-1, 2] }],
  outputs: [{ name: "y", datatype: "FP32", shape: [-1, 3] }],
  ...change,
});

const two = metadata({
  inputs: [
    { name: "a", datatype: "INT64", shape: [-1, -1] },
    { name: "b", datatype: "FP32", shape: [-1, 2] },
  ],
});

const none = { datatypes: new Map<string, string>(), shapes: new Map<string, string>() };

describe("JSON", () => {
  const x = { name: "x", datatype: "FP32" };

  test("the array of the only input is taken with its shape", () => {
    const request = requestFromJson("[[1,2],[3,4]]", metadata());
    expect(request).toEqual({
      inputs: [
        {
          ...x,
          shape: [2, 2],
          data: [
            [1, 2],
            [3, 4],
          ],
        },
      ],
    });
  });

  test("a row without its batch gets one", () => {
    expect(requestFromJson('{"x":[1,2]}', metadata())).toEqual({
      inputs: [{ ...x, shape: [1, 2], data: [1, 2] }],
    });
  });

  test("a whole request is sent as it is", () => {
    const request = { inputs: [{ ...x, shape: [1, 2], data: [1, 2] }], id: "mine" };
    expect(requestFromJson(JSON.stringify(request), metadata())).toEqual(request);
  });

  test("what fits no input is refused by name", () => {
    expect(() => requestFromJson("{", metadata())).toThrow(/not JSON/);
    expect(() => requestFromJson("3", metadata())).toThrow(/neither/);
    expect(() => requestFromJson('{"z":[1]}', metadata())).toThrow(/no input z/);
    expect(() => requestFromJson("[1,2]", two)).toThrow(/one input; m has a, b/);
  });

  test("priority and timeout join the request's own parameters", () => {
    const request = { inputs: [], parameters: { timeout: 1, mine: true } };
    const { body } = jsonBody(request, { timeout: 5, priority: "batch" });
    expect(JSON.parse(Buffer.from(body).toString())).toEqual({
      inputs: [],
      parameters: { timeout: 5, mine: true, priority: "batch" },
    });
  });
});

describe("raw tensors", () => {
  test("the rows follow from the bytes", () => {
    expect(rawTensor("x", new Uint8Array(24), metadata(), none).shape).toEqual([3, 2]);
  });

  test("with a second open dimension they are one row", () => {
    expect(rawTensor("a", new Uint8Array(40), two, none).shape).toEqual([1, 5]);
  });

  test("a shape and a datatype can be given", () => {
    const given = {
      datatypes: new Map([["x", "fp64"]]),
      shapes: new Map([["x", "1,2"]]),
    };
    const tensor = rawTensor("x", new Uint8Array(16), metadata(), given);
    expect(tensor).toMatchObject({ datatype: "FP64", shape: [1, 2] });
  });

  test("what cannot be guessed has to be given", () => {
    const open = metadata({ inputs: [{ name: "x", datatype: "FP32", shape: [-1, -1, -1] }] });
    expect(() => rawTensor("x", new Uint8Array(16), open, none)).toThrow(/does not follow/);
    const shapes = { ...none, shapes: new Map([["x", "1,-1"]]) };
    expect(() => rawTensor("x", new Uint8Array(16), open, shapes)).toThrow(/--shape x=1,-1/);
    const datatypes = { ...none, datatypes: new Map([["x", "float"]]) };
    expect(() => rawTensor("x", new Uint8Array(16), open, datatypes)).toThrow(/--dtype x=FLOAT/);
  });

  test("the JSON's length stands in the header, and the bytes follow it", () => {
    const tensor = rawTensor("x", Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), metadata(), none);
    const { body, headers } = binaryBody([tensor], { timeout: 5 });
    const length = Number(headers["inference-header-content-length"]);
    expect(JSON.parse(Buffer.from(body.subarray(0, length)).toString())).toEqual({
      inputs: [{ name: "x", datatype: "FP32", shape: [1, 2], parameters: { binary_data_size: 8 } }],
      parameters: { timeout: 5 },
    });
    expect([...body.subarray(length)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test("pairs need a name and a value", () => {
    expect(splitPairs("--input", ["x=a=b"])).toEqual(new Map([["x", "a=b"]]));
    expect(() => splitPairs("--input", ["x"])).toThrow(/--input x/);
    expect(() => splitPairs("--input", ["=x"])).toThrow(/--input =x/);
  });
});

describe("images and texts", () => {
  const image = { width: 2, height: 1, channels: 1, layout: "NCHW", scale: 2, offset: 1 } as const;
  const file = encode({ width: 4, height: 2, channels: 1, data: new Uint8Array(8).fill(255) });

  test("an image takes the shape of the input, flat or not", () => {
    const flat = imageTensor(file, metadata({ image }));
    expect(flat.shape).toEqual([1, 2]);
    expect([...new Float32Array(flat.bytes.slice().buffer)]).toEqual([3, 3]);
    const inputs = [{ name: "x", datatype: "FP32" as const, shape: [-1, 1, -1, -1] }];
    expect(imageTensor(file, metadata({ image, inputs })).shape).toEqual([1, 1, 1, 2]);
  });

  test("a model without a word about images takes none", () => {
    expect(() => imageTensor(file, metadata())).toThrow(/does not say how an image/);
  });

  test("tokens are one row", () => {
    const inputs = [{ name: "ids", datatype: "INT64" as const, shape: [-1, -1] }];
    expect(tokenRequest([5, 6, 7], metadata({ inputs }))).toEqual({
      inputs: [{ name: "ids", datatype: "INT64", shape: [1, 3], data: [5, 6, 7] }],
    });
  });
});

describe("answers", () => {
  const answer = (datatype: string, shape: number[], data: unknown[]) => ({
    model_name: "m",
    model_version: "2",
    outputs: [{ name: "y", datatype, shape, data }],
  });

  test("a distribution over labels is shown as percentages, the best first", () => {
    const text = renderAnswer(answer("FP32", [1, 3], [0.1, 0.7, 0.2]), ["a", "b", "c"]);
    expect(text).toBe("m@2\n  y FP32 [1,3]\n    b 70.0 %   c 20.0 %   a 10.0 %");
  });

  test("scores that are no distribution stay as they are", () => {
    const text = renderAnswer(answer("FP32", [2, 2], [-1.5, 3, 4, 2]), ["no", "yes"]);
    expect(text).toBe("m@2\n  y FP32 [2,2]\n    yes 3   no -1.5\n    no 4   yes 2");
  });

  test("an index names its label", () => {
    expect(renderAnswer(answer("INT64", [2], [1, 0]), ["no", "yes"])).toContain(": yes, no");
  });

  test("without labels the first values are shown", () => {
    const text = renderAnswer(answer("FP32", [20], Array(20).fill(0.123456789)), undefined);
    expect(text).toContain("0.123457, 0.123457");
    expect(text).toContain("... 4 more");
    expect(renderAnswer(answer("BYTES", [1], ["word"]), undefined)).toContain("[1]: word");
  });
});

describe("names", () => {
  test("a version may follow the name", () => {
    expect(splitModel("digits")).toEqual({ name: "digits", version: undefined });
    expect(splitModel("digits@12")).toEqual({ name: "digits", version: 12 });
  });

  test.each(["", "a b", "../x", "x@", "x@0", "x@1@2", "x@1e3", "*"])("%j is refused", (name) => {
    expect(() => splitModel(name)).toThrow(/is no/);
  });
});
