/** The training code: gradients against differences, and the same seed giving the same weights. */

import { inflateSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { seededRandom } from "@millrace/std";
import { classify, fit, type Source } from "../src/training/fit.ts";
import { convolution, dense, type Layer, maxPool, relu } from "../src/training/layers.ts";
import { encodeGreyPng } from "../src/training/png.ts";

const ROWS = 3;
const STEP = 8e-3;

const layers: Readonly<Record<string, { readonly inputs: number; readonly make: () => Layer }>> = {
  dense: { inputs: 5, make: () => dense(5, 4, seededRandom(2)) },
  relu: { inputs: 6, make: relu },
  convolution: { inputs: 32, make: () => convolution(4, 2, 3, seededRandom(3)) },
  maxPool: { inputs: 32, make: () => maxPool(4, 2) },
};

describe.each(Object.entries(layers))("the gradient of %s", (_, { inputs, make }) => {
  const count = ROWS * inputs;
  // All different, and none of them so near to another or to 0 that a step crosses a kink.
  const input = Float32Array.from({ length: count }, (__, at) => {
    return (2 * ((at * 37) % count) + 1) / count - 1;
  });
  const layer = make();
  const random = seededRandom(7);
  const weights = layer.forward(input, ROWS).map(() => 2 * random.next() - 1);
  const score = (): number =>
    layer.forward(input, ROWS).reduce((sum, value, at) => sum + value * (weights[at] as number), 0);

  const expectSlopes = (gradient: Float32Array, values: Float32Array): void => {
    values.forEach((value, at) => {
      values[at] = value + STEP;
      const above = score();
      values[at] = value - STEP;
      const slope = (above - score()) / (2 * STEP);
      values[at] = value;
      expect(Math.abs(slope - (gradient[at] as number))).toBeLessThan(1e-3);
    });
  };

  test("is the slope of the output over the input and the parameters", () => {
    layer.forward(input, ROWS);
    expectSlopes(layer.backward(weights, ROWS), input);
    for (const { value, gradient } of layer.parameters) expectSlopes(gradient, value);
  });
});

/** Four points of which no line separates the classes. */
const POINTS = [0, 0, 0, 1, 1, 0, 1, 1];
const LABELS = Uint8Array.of(0, 1, 1, 0);
const ALL = [0, 1, 2, 3];

function trained(seed: number): { readonly weights: number[]; readonly found: number[] } {
  const random = seededRandom(seed);
  const source: Source = {
    parameters: [],
    forward: (rows) => Float32Array.from(rows.flatMap((row) => POINTS.slice(2 * row, 2 * row + 2))),
    backward: () => undefined,
  };
  const own = [dense(2, 8, random), relu(), dense(8, 2, random)];
  const classifier = { source, layers: own, classes: 2 };
  fit(classifier, LABELS, ALL, { epochs: 200, batch: 2, rate: 0.05, decay: 0, random });
  const weights = own.flatMap(({ parameters }) => parameters.flatMap(({ value }) => [...value]));
  return { weights, found: classify(classifier, ALL) };
}

test("a network learns what no line separates", () => {
  expect(trained(1).found).toEqual([...LABELS]);
});

test("the same seed gives the same weights, another seed others", () => {
  expect(trained(5).weights).toEqual(trained(5).weights);
  expect(trained(6).weights).not.toEqual(trained(5).weights);
});

test("a picture holds its pixels", () => {
  const grey = Uint8Array.of(0, 50, 100, 150, 200, 255);
  const png = Buffer.from(encodeGreyPng(3, 2, grey));
  expect(png.subarray(1, 4).toString("latin1")).toBe("PNG");
  expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([3, 2]);
  const length = png.readUInt32BE(33);
  const lines = inflateSync(png.subarray(41, 41 + length));
  expect([...lines]).toEqual([0, 0, 50, 100, 0, 150, 200, 255]);
});
