/** Everything that is refused: the code is stable, and the message says what was wrong. */

import { describe, expect, test } from "vitest";
import { accepted, binaryBody, floats, json, refused, single, tokens } from "./fixtures.ts";

const good = { name: "x", datatype: "FP32", shape: [1, 2, 3], data: [0, 1, 2, 3, 4, 5] };
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const one = (change: object) => refused(floats, json({ inputs: [{ ...good, ...change }] }));

describe("the document", () => {
  test.each([
    ["nothing", ""],
    ["half of it", '{"inputs": ['],
    ["two", "{} {}"],
    ["NaN", '{"inputs":[{"data":[NaN]}]}'],
  ])("%s is not JSON", (_what, body) => {
    expect(refused(floats, text(body))).toMatch(/^INVALID_JSON: /);
  });

  test("bytes that are not UTF-8 are not JSON", () => {
    expect(refused(floats, new Uint8Array([0x7b, 0xff, 0x7d]))).toMatch(/^INVALID_JSON: /);
  });

  test.each([
    ["a list", []],
    ["null", null],
    ["a number", 1],
    ["no inputs", {}],
    ["inputs of another type", { inputs: {} }],
    ["an input that is no object", { inputs: [1] }],
    ["an input without a name", { inputs: [{}] }],
    ["an id that is no string", { id: 7, inputs: [good] }],
    ["an id that is too long", { id: "x".repeat(257), inputs: [good] }],
    ["parameters that are no object", { parameters: [], inputs: [good] }],
    ["outputs that are no array", { outputs: {}, inputs: [good] }],
    ["an output twice", { outputs: [{ name: "y" }, { name: "y" }], inputs: [good] }],
  ])("%s", (_what, value) => {
    expect(refused(floats, json(value))).toMatch(/^INVALID_REQUEST: /);
  });

  test("brackets nested without end are refused before they are parsed", () => {
    expect(refused(floats, text("[".repeat(200_000)))).toMatch(/^INVALID_JSON: nested more than/);
    expect(refused(floats, text('{"a":'.repeat(50_000)))).toMatch(/^INVALID_JSON: nested more/);
  });

  test("a short body that is nested too deep to be written again is refused as well", () => {
    const deep = `${"[".repeat(6_000)}${"]".repeat(6_000)}`;
    const body = text(`{"inputs":[{"name":"x","datatype":"FP32","shape":${deep},"data":[]}]}`);
    expect(refused(floats, body)).toMatch(/^INVALID_JSON: nested more than/);
  });

  test("brackets and escaped quotes inside strings are not nesting", () => {
    const id = '\\"['.repeat(20);
    const data = Array.from({ length: 6 }, () => "[[[".repeat(8_000));
    const spec = single("BYTES", [6]);
    const body = json({ id, inputs: [{ name: "x", datatype: "BYTES", shape: [6], data }] });
    expect(body.length).toBeGreaterThan(100_000);
    expect(accepted(spec, body).id).toBe(id);
  });

  test("JSON has its own limit", () => {
    const body = new Uint8Array(8 * 1024 * 1024 + 1).fill(0x20);
    expect(refused(floats, body)).toMatch(/^BODY_TOO_LARGE: .*send large tensors as binary data/);
  });
});

describe("names, types, shapes", () => {
  test("a missing input is named", () => {
    expect(refused(floats, json({ inputs: [] }))).toBe('MISSING_INPUT: input "x" is missing');
  });

  test("an unknown input is answered with those that there are", () => {
    expect(one({ name: "z" })).toBe('UNKNOWN_INPUT: no input "z"; the model has ["x"]');
  });

  test.each(["__proto__", "constructor", "toString"])("%s is an unknown name", (name) => {
    expect(one({ name })).toMatch(/^UNKNOWN_INPUT/);
  });

  test("a long name is cut in the message", () => {
    expect(one({ name: "z".repeat(100_000) }).length).toBeLessThan(200);
  });

  test("an input twice", () => {
    expect(refused(floats, json({ inputs: [good, good] }))).toMatch(/^DUPLICATE_INPUT/);
  });

  test("an unknown output", () => {
    const body = json({ inputs: [good], outputs: [{ name: "z" }] });
    expect(refused(floats, body)).toBe('UNKNOWN_OUTPUT: no output "z"; the model has ["y"]');
  });

  test("another datatype", () => {
    expect(one({ datatype: "FP64" })).toBe(
      'WRONG_DATATYPE: input "x": datatype "FP64", expected "FP32"',
    );
    expect(one({ datatype: undefined })).toMatch(/^WRONG_DATATYPE: .* datatype nothing/);
  });

  test.each([
    ["another rank", [1, 6]],
    ["another size", [1, 2, 4]],
    ["no rows", [0, 2, 3]],
    ["a negative dimension", [-1, 2, 3]],
    ["half a row", [0.5, 2, 3]],
    ["text", ["1", 2, 3]],
    ["beyond 32 bits", [2 ** 32, 2, 3]],
    ["an overflow", [4294967295, 2, 3]],
  ])("%s does not fit", (_what, shape) => {
    expect(one({ shape })).toMatch(/^WRONG_SHAPE: /);
  });

  test("a product past 2^53 is refused without allocating", () => {
    const spec = single("UINT8", [-1, -1, -1, -1]);
    const shape = [4294967295, 4294967295, 4294967295, 4294967295];
    const body = json({ inputs: [{ name: "x", datatype: "UINT8", shape, data: [1] }] });
    expect(refused(spec, body)).toMatch(/^WRONG_SHAPE: .*more than 67108864 elements/);
  });

  test("more rows than the model takes", () => {
    const data = Array.from({ length: 54 }, () => 0);
    expect(one({ shape: [9, 2, 3], data })).toBe(
      "BATCH_TOO_LARGE: 9 rows; the model takes at most 8 in one request",
    );
  });

  const tokenInputs = (idShape: number[], maskShape: number[], extraRows = idShape[0] ?? 1) => {
    const size = (shape: number[]) => shape.reduce((product, dim) => product * dim, 1);
    return json({
      inputs: [
        { name: "ids", datatype: "INT64", shape: idShape, data: Array(size(idShape)).fill(0) },
        {
          name: "mask",
          datatype: "BOOL",
          shape: maskShape,
          data: Array(size(maskShape)).fill(true),
        },
        {
          name: "extra",
          datatype: "UINT8",
          shape: [extraRows, 1, 2],
          data: Array(2 * extraRows).fill(0),
        },
      ],
      parameters: { binary_data_output: true },
    });
  };

  test("inputs that disagree about the rows", () => {
    expect(refused(tokens, tokenInputs([2, 3], [1, 3]))).toBe(
      'WRONG_SHAPE: input "mask": rows 1, but "ids" has 2',
    );
  });

  test("inputs that disagree about the padded length", () => {
    expect(refused(tokens, tokenInputs([1, 3], [1, 4]))).toBe(
      'WRONG_SHAPE: input "mask": padded length 4, but "ids" has 3',
    );
  });

  test("longer than the model takes", () => {
    expect(refused(tokens, tokenInputs([1, 17], [1, 17]))).toBe(
      "WRONG_SHAPE: length 17; the model takes at most 16",
    );
  });
});

describe("values", () => {
  test.each([
    ["too few", [0, 1, 2, 3, 4]],
    ["too many", [0, 1, 2, 3, 4, 5, 6]],
    ["none", []],
    [
      "nested by another shape",
      [
        [0, 1, 2],
        [3, 4, 5],
      ],
    ],
    [
      "ragged",
      [
        [
          [0, 1, 2],
          [3, 4],
        ],
      ],
    ],
    ["a number among the arrays", [[[0, 1, 2], 3]]],
  ])("%s", (_what, data) => {
    expect(one({ data })).toMatch(/^WRONG_SHAPE: /);
  });

  test("data that is no array", () => {
    expect(one({ data: "AAAA" })).toMatch(/^INVALID_REQUEST: /);
  });

  test("deeper than the shape", () => {
    expect(
      one({
        data: [
          [
            [[0], [1], [2]],
            [3, 4, 5],
          ],
        ],
      }),
    ).toMatch(/^WRONG_VALUE: /);
  });

  test.each([
    ["FP32", 1e39],
    ["FP32", "1"],
    ["FP32", null],
    ["FP32", "toString"],
    ["FP64", true],
    ["UINT8", 256],
    ["UINT8", -1],
    ["UINT8", 1.5],
    ["INT8", 128],
    ["INT16", -32769],
    ["UINT16", 65536],
    ["INT32", 2147483648],
    ["UINT32", -1],
    ["INT64", 9007199254740992],
    ["INT64", 1.5],
    ["INT64", "1"],
    ["UINT64", -1],
    ["BOOL", 1],
    ["BYTES", 1],
  ] as const)("%s does not take %s", (datatype, value) => {
    const body = json({ inputs: [{ name: "x", datatype, shape: [1], data: [value] }] });
    expect(refused(single(datatype, [1]), body)).toMatch(/^WRONG_VALUE: input "x": element 0 is/);
  });

  test("a literal beyond the doubles is not finite", () => {
    const body = text('{"inputs":[{"name":"x","datatype":"FP64","shape":[1],"data":[1e999]}]}');
    expect(refused(single("FP64", [1]), body)).toMatch(/^WRONG_VALUE/);
  });

  test.each(["FP16", "BF16"] as const)("%s has no JSON form, in or out", (datatype) => {
    const spec = single(datatype, [1]);
    const input = { name: "x", datatype, shape: [1] };
    expect(refused(spec, json({ inputs: [{ ...input, data: [1] }] }))).toMatch(
      /^INVALID_REQUEST: .*send it as binary data/,
    );
    const { body, headerBytes } = binaryBody(
      { inputs: [{ ...input, parameters: { binary_data_size: 2 } }] },
      new Uint8Array(2),
    );
    expect(refused(spec, body, headerBytes)).toMatch(/^INVALID_PARAMETER: .*binary_data: true/);
  });
});

describe("binary data", () => {
  const input = { name: "x", datatype: "FP32", shape: [1, 2, 3] };
  const sized = (size: unknown, bytes: number) => {
    const { body, headerBytes } = binaryBody(
      { inputs: [{ ...input, parameters: { binary_data_size: size } }] },
      new Uint8Array(bytes),
    );
    return refused(floats, body, headerBytes);
  };

  test("a size that differs from the shape's", () => {
    expect(sized(20, 20)).toBe(
      'WRONG_BYTE_COUNT: input "x": its shape takes 24 bytes of FP32, not 20',
    );
  });

  test("fewer bytes than announced", () => {
    expect(sized(24, 23)).toBe('TRUNCATED_BODY: input "x": 24 bytes announced, 23 are left');
  });

  test("more bytes than announced", () => {
    expect(sized(24, 25)).toMatch(/^WRONG_BYTE_COUNT: 25 bytes follow the JSON/);
  });

  test.each([-1, 1.5, "24", 2 ** 60, null])("the size %s is none", (size) => {
    expect(sized(size, 24)).toMatch(/^(INVALID_PARAMETER|TRUNCATED_BODY): /);
  });

  test("data and a size together, and neither", () => {
    expect(one({ parameters: { binary_data_size: 24 } })).toMatch(/^INVALID_REQUEST: .*either/);
    expect(one({ data: undefined })).toMatch(/^INVALID_REQUEST: .*either/);
  });

  test("a size without the header", () => {
    const body = json({ inputs: [{ ...input, parameters: { binary_data_size: 24 } }] });
    expect(refused(floats, body)).toMatch(/Inference-Header-Content-Length is missing/);
  });

  test("JSON that is announced longer than the body", () => {
    expect(refused(floats, text("{}"), 3)).toMatch(/^TRUNCATED_BODY: /);
  });

  test("a header that cuts the JSON short", () => {
    expect(refused(floats, json({ inputs: [good] }), 10)).toMatch(/^INVALID_JSON: /);
  });

  test("a byte that is no bool", () => {
    const spec = single("BOOL", [2]);
    const { body, headerBytes } = binaryBody(
      {
        inputs: [{ name: "x", datatype: "BOOL", shape: [2], parameters: { binary_data_size: 2 } }],
      },
      new Uint8Array([1, 2]),
    );
    expect(refused(spec, body, headerBytes)).toMatch(/^WRONG_VALUE: /);
  });

  test.each([
    ["a length past the end", [9, 0, 0, 0, 1]],
    ["a huge length", [255, 255, 255, 255, 1]],
    ["too few elements", [1, 0, 0, 0, 1]],
    ["too many elements", [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
    ["half a length", [0, 0, 0, 0, 0, 0]],
    ["nothing", []],
  ])("strings with %s", (_what, bytes) => {
    const { body, headerBytes } = binaryBody(
      {
        inputs: [
          {
            name: "x",
            datatype: "BYTES",
            shape: [2],
            parameters: { binary_data_size: bytes.length },
          },
        ],
      },
      new Uint8Array(bytes),
    );
    expect(refused(single("BYTES", [2]), body, headerBytes)).toMatch(/^WRONG_BYTE_COUNT: /);
  });

  test("so many strings that to read them would stop everything else", () => {
    const shape = [70_000];
    const data = shape.flatMap((count) => Array.from({ length: count }, () => ""));
    const body = json({ inputs: [{ name: "x", datatype: "BYTES", shape, data }] });
    expect(refused(single("BYTES", [-1]), body)).toMatch(/^BODY_TOO_LARGE: .*70000 strings/);
  });
});

describe("the raw form", () => {
  test("needs a model with one input", () => {
    expect(refused(tokens, new Uint8Array(8), 0)).toMatch(/^INVALID_REQUEST: .*one input/);
  });

  test("needs whole rows", () => {
    expect(refused(floats, new Uint8Array(25), 0)).toMatch(/^WRONG_BYTE_COUNT/);
    expect(refused(floats, new Uint8Array(0), 0)).toMatch(/^WRONG_BYTE_COUNT/);
    expect(refused(floats, new Uint8Array(24 * 9), 0)).toMatch(/^BATCH_TOO_LARGE/);
  });

  test("cannot guess two dimensions", () => {
    expect(refused(single("UINT8", [-1, -1, -1], 2), new Uint8Array(4), 0)).toMatch(
      /^WRONG_SHAPE: .*more than one dimension open/,
    );
  });
});

describe("parameters", () => {
  test.each([
    [{ priority: 4 }, "priority"],
    [{ priority: -1 }, "priority"],
    [{ priority: "high" }, "priority"],
    [{ priority: true }, "priority"],
    [{ priority: 1.5 }, "priority"],
    [{ timeout: -1 }, "timeout"],
    [{ timeout: 0.5 }, "timeout"],
    [{ timeout: "1000" }, "timeout"],
    [{ timeout: 600_000_001 }, "timeout"],
    [{ binary_data_output: 1 }, "binary_data_output"],
  ])("%j is refused", (parameters, name) => {
    const message = refused(floats, json({ inputs: [good], parameters }));
    expect(message).toMatch(new RegExp(`^INVALID_PARAMETER: ${name} is `));
  });

  test.each([
    { parameters: { sequence_id: 5 }, inputs: [good] },
    { inputs: [{ ...good, parameters: { shared_memory_region: "a" } }] },
    { inputs: [good], outputs: [{ name: "y", parameters: { classification: 3 } }] },
  ])("what would mean something else is refused: %j", (value) => {
    expect(refused(floats, json(value))).toMatch(/^UNSUPPORTED: /);
  });
});
