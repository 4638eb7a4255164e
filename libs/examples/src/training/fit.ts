/**
 * Training a classifier: batches in an order drawn from a seed, softmax cross-entropy, Adam with a
 * cosine schedule (Kingma and Ba 2015; Loshchilov and Hutter 2017).
 */

import type { Random } from "@millrace/std";
import type { Layer, Parameter } from "./layers.ts";

/** Where a batch begins: turns row numbers into the first layer's input. */
export interface Source {
  readonly parameters: readonly Parameter[];
  readonly forward: (rows: readonly number[]) => Float32Array;
  readonly backward: (gradient: Float32Array) => void;
}

export interface Classifier {
  readonly source: Source;
  readonly layers: readonly Layer[];
  readonly classes: number;
}

export interface FitOptions {
  readonly epochs: number;
  readonly batch: number;
  /** At the start; it falls to 0 along half a cosine. */
  readonly rate: number;
  /** Share of every parameter that is taken away per step, times the rate. */
  readonly decay: number;
  readonly random: Random;
  readonly onEpoch?: (epoch: number, loss: number) => void;
}

/** @param labels the class of each row that `source` knows */
export function fit(
  classifier: Classifier,
  labels: Uint8Array,
  rows: readonly number[],
  options: FitOptions,
): void {
  const order = [...rows];
  const steps = options.epochs * Math.ceil(order.length / options.batch);
  const adam = createAdam(
    [classifier.source, ...classifier.layers].flatMap(({ parameters }) => parameters),
    options.decay,
  );
  let step = 0;
  for (let epoch = 1; epoch <= options.epochs; epoch++) {
    shuffle(order, options.random);
    let loss = 0;
    for (let at = 0; at < order.length; at += options.batch) {
      const batch = order.slice(at, at + options.batch);
      loss += backpropagate(classifier, labels, batch);
      adam((options.rate / 2) * (1 + Math.cos((Math.PI * step++) / steps)));
    }
    options.onEpoch?.(epoch, loss / order.length);
  }
}

/** The most likely class of each row. */
export function classify(classifier: Classifier, rows: readonly number[]): number[] {
  const { classes } = classifier;
  const logits = forward(classifier, rows);
  return rows.map((_, row) => {
    let best = 0;
    for (let label = 1; label < classes; label++) {
      if ((logits[row * classes + label] as number) > (logits[row * classes + best] as number)) {
        best = label;
      }
    }
    return best;
  });
}

function forward({ source, layers }: Classifier, rows: readonly number[]): Float32Array {
  let data = source.forward(rows);
  for (const layer of layers) data = layer.forward(data, rows.length);
  return data;
}

/** Adds the gradients of one batch; returns the sum of its losses. */
function backpropagate(
  classifier: Classifier,
  labels: Uint8Array,
  rows: readonly number[],
): number {
  const { classes, layers, source } = classifier;
  const logits = forward(classifier, rows);
  let gradient: Float32Array = new Float32Array(logits.length);
  let loss = 0;
  rows.forEach((row, at) => {
    const scores = logits.subarray(at * classes, (at + 1) * classes);
    const most = Math.max(...scores);
    const weights = Array.from(scores, (score) => Math.exp(score - most));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    weights.forEach((weight, label) => {
      const isTrue = label === labels[row];
      if (isTrue) loss -= Math.log(weight / sum);
      gradient[at * classes + label] = (weight / sum - (isTrue ? 1 : 0)) / rows.length;
    });
  });
  for (const layer of layers.toReversed()) gradient = layer.backward(gradient, rows.length);
  source.backward(gradient);
  return loss;
}

/** Steps all parameters along their gradients and clears these. */
function createAdam(parameters: readonly Parameter[], decay: number): (rate: number) => void {
  const [keepMean, keepSquare] = [0.9, 0.999];
  const states = parameters.map(({ value }) => ({
    mean: new Float32Array(value.length),
    square: new Float32Array(value.length),
  }));
  let meanLeft = 1;
  let squareLeft = 1;
  return (rate) => {
    meanLeft *= keepMean;
    squareLeft *= keepSquare;
    const scale = (rate * Math.sqrt(1 - squareLeft)) / (1 - meanLeft);
    parameters.forEach(({ value, gradient }, at) => {
      const { mean, square } = states[at] as (typeof states)[number];
      for (let place = 0; place < value.length; place++) {
        const slope = gradient[place] as number;
        const first = keepMean * (mean[place] as number) + (1 - keepMean) * slope;
        const second = keepSquare * (square[place] as number) + (1 - keepSquare) * slope * slope;
        mean[place] = first;
        square[place] = second;
        const before = value[place] as number;
        value[place] = before * (1 - rate * decay) - (scale * first) / (Math.sqrt(second) + 1e-8);
      }
      gradient.fill(0);
    });
  };
}

function shuffle(order: number[], random: Random): void {
  for (let at = order.length - 1; at > 0; at--) {
    const other = random.below(at + 1);
    [order[at], order[other]] = [order[other] as number, order[at] as number];
  }
}
