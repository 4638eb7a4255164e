/**
 * The layers of the example models, each with its own gradient. Data is [rows, ...] row-major;
 * images are [rows, height, width, channels].
 */

import type { Random } from "@millrace/std";
import { multiply, multiplyTransposedLeft, multiplyTransposedRight } from "./matrix.ts";

/** A trained array and the gradient that the last backward pass added up. */
export interface Parameter {
  readonly value: Float32Array;
  readonly gradient: Float32Array;
}

/** `backward` takes the gradient of what `forward` last returned, and returns that of its input. */
export interface Layer {
  readonly parameters: readonly Parameter[];
  readonly forward: (input: Float32Array, rows: number) => Float32Array;
  readonly backward: (gradient: Float32Array, rows: number) => Float32Array;
}

export const parameter = (value: Float32Array): Parameter => ({
  value,
  gradient: new Float32Array(value.length),
});

/** Uniform within the bound of He et al. 2015 for `fanIn` inputs under ReLU. */
export function randomWeights(random: Random, count: number, fanIn: number): Float32Array {
  const bound = Math.sqrt(6 / fanIn);
  return Float32Array.from({ length: count }, () => (2 * random.next() - 1) * bound);
}

/** [rows, inputs] to [rows, outputs]; the parameters are weights [inputs, outputs] and bias. */
export function dense(inputs: number, outputs: number, random: Random): Layer {
  const weights = parameter(randomWeights(random, inputs * outputs, inputs));
  const bias = parameter(new Float32Array(outputs));
  let last: Float32Array = new Float32Array();
  return {
    parameters: [weights, bias],
    forward: (input, rows) => {
      last = input;
      const output = new Float32Array(rows * outputs);
      for (let row = 0; row < rows; row++) output.set(bias.value, row * outputs);
      multiply(input, weights.value, output, rows, inputs, outputs);
      return output;
    },
    backward: (gradient, rows) => {
      multiplyTransposedLeft(last, gradient, weights.gradient, rows, inputs, outputs);
      for (let from = 0; from < gradient.length; from += outputs) {
        for (let column = 0; column < outputs; column++) {
          const sum = (bias.gradient[column] as number) + (gradient[from + column] as number);
          bias.gradient[column] = sum;
        }
      }
      const below = new Float32Array(rows * inputs);
      multiplyTransposedRight(gradient, weights.value, below, rows, inputs, outputs);
      return below;
    },
  };
}

export function relu(): Layer {
  let last: Float32Array = new Float32Array();
  return {
    parameters: [],
    forward: (input) => {
      last = input.map((value) => Math.max(0, value));
      return last;
    },
    backward: (gradient) => gradient.map((value, at) => ((last[at] as number) > 0 ? value : 0)),
  };
}

/**
 * A 3x3 convolution with a border of zeros, as a dense layer over every pixel's neighbourhood. Its
 * weights are [3, 3, from, to].
 */
export function convolution(size: number, from: number, to: number, random: Random): Layer {
  const inner = dense(9 * from, to, random);
  const places = neighbours(size);
  const pixels = size * size;
  return {
    parameters: inner.parameters,
    forward: (input, rows) => {
      const patches = new Float32Array(rows * pixels * 9 * from);
      eachNeighbour(places, rows, from, (patch, pixel) => {
        patches[patch] = input[pixel] as number;
      });
      return inner.forward(patches, rows * pixels);
    },
    backward: (gradient, rows) => {
      const patches = inner.backward(gradient, rows * pixels);
      const below = new Float32Array(rows * pixels * from);
      eachNeighbour(places, rows, from, (patch, pixel) => {
        below[pixel] = (below[pixel] as number) + (patches[patch] as number);
      });
      return below;
    },
  };
}

/** Every value of every neighbourhood inside the image: its place there, and in the image. */
function eachNeighbour(
  places: Int32Array,
  rows: number,
  channels: number,
  visit: (patch: number, pixel: number) => void,
): void {
  for (let row = 0; row < rows; row++) {
    for (let at = 0; at < places.length; at++) {
      const place = places[at] as number;
      if (place < 0) continue;
      const patch = (row * places.length + at) * channels;
      const pixel = ((row * places.length) / 9 + place) * channels;
      for (let channel = 0; channel < channels; channel++) visit(patch + channel, pixel + channel);
    }
  }
}

/** For each pixel and each of its nine neighbours: the neighbour's index, -1 outside the image. */
function neighbours(size: number): Int32Array {
  const places = new Int32Array(size * size * 9).fill(-1);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      for (let at = 0; at < 9; at++) {
        const fromY = y + Math.floor(at / 3) - 1;
        const fromX = x + (at % 3) - 1;
        if (fromY < 0 || fromX < 0 || fromY >= size || fromX >= size) continue;
        places[(y * size + x) * 9 + at] = fromY * size + fromX;
      }
    }
  }
  return places;
}

/** The largest of each 2x2 square, which alone gets the gradient. */
export function maxPool(size: number, channels: number): Layer {
  const half = size / 2;
  let winners: Int32Array = new Int32Array();
  let inputLength = 0;
  return {
    parameters: [],
    forward: (input, rows) => {
      inputLength = input.length;
      winners = new Int32Array(rows * half * half * channels);
      let at = 0;
      for (let row = 0; row < rows; row++) {
        for (let place = 0; place < half * half; place++) {
          const y = 2 * Math.floor(place / half);
          const x = 2 * (place % half);
          const corner = ((row * size + y) * size + x) * channels;
          for (let channel = 0; channel < channels; channel++) {
            winners[at++] = largestOfSquare(input, corner + channel, channels, size * channels);
          }
        }
      }
      return Float32Array.from(winners, (winner) => input[winner] as number);
    },
    backward: (gradient) => {
      const below = new Float32Array(inputLength);
      winners.forEach((winner, place) => {
        below[winner] = gradient[place] as number;
      });
      return below;
    },
  };
}

function largestOfSquare(input: Float32Array, corner: number, right: number, down: number): number {
  let winner = corner;
  for (const candidate of [corner + right, corner + down, corner + down + right]) {
    if ((input[candidate] as number) > (input[winner] as number)) winner = candidate;
  }
  return winner;
}
