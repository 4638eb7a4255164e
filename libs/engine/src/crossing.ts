/**
 * A run and its outputs as they cross between the engine and its thread: one flat array of each,
 * beside the buffers that are moved. Structured clone visits every nested object and writes out the
 * name of every property; with the cold caches of one request at a time that made the way there and
 * back a quarter longer.
 */

import type { BatchInput } from "./merge.ts";
import type { RanAnswer, RunMessage } from "./messages.ts";

export type CrossingRun = readonly [
  id: number,
  ref: string,
  tier: RunMessage["tier"],
  startByUs: number,
  partial: boolean,
  slab: ArrayBuffer,
  rows: number,
  length: number,
  /** Of the inputs of type BYTES in their order; most models have none. */
  strings: readonly (readonly string[])[] | undefined,
  items: number,
  /** The rows and lengths of the items; then per input where it begins, its rank and dimensions. */
  ...numbers: number[],
];

export type CrossingOutputs = readonly [
  id: number,
  computeUs: number,
  slab: ArrayBuffer,
  bytes: ArrayBuffer,
  ...ends: number[],
];

export function packRun(id: number, run: RunMessage): CrossingRun {
  const { ref, tier, startByUs, partial, slab, rows, length, items, inputs } = run;
  const strings: (readonly string[])[] = [];
  const numbers: number[] = [...items];
  for (const input of inputs) {
    const isString = input.strings !== undefined;
    if (isString) strings.push(input.strings);
    numbers.push(isString ? STRINGS : input.at, input.dims.length, ...input.dims);
  }
  const given = strings.length > 0 ? strings : undefined;
  return [
    id,
    ref,
    tier,
    startByUs,
    partial,
    slab,
    rows,
    length,
    given,
    items.length / 2,
    ...numbers,
  ];
}

/** In the place of where an input begins, because strings stand in no slab. */
const STRINGS = -1;

export function unpackRun(packed: CrossingRun): { readonly id: number; readonly run: RunMessage } {
  const [id, ref, tier, startByUs, partial, slab, rows, length, strings, count, ...numbers] =
    packed;
  const items = Int32Array.from(numbers.slice(0, 2 * count));
  const inputs: BatchInput[] = [];
  let given = 0;
  for (let at = 2 * count; at < numbers.length;) {
    const begin = numbers[at] as number;
    const rank = numbers[at + 1] as number;
    const dims = numbers.slice(at + 2, at + 2 + rank);
    at += 2 + rank;
    if (begin === STRINGS) inputs.push({ dims, at: 0, strings: strings?.[given++] ?? [] });
    else inputs.push({ dims, at: begin });
  }
  const run = { ref, tier, startByUs, partial, slab, rows, length, items, inputs } as const;
  return { id, run: { type: "run", ...run } };
}

export const packOutputs = (
  id: number,
  { computeUs, slab, bytes, ends }: RanAnswer,
): CrossingOutputs => [id, computeUs, slab, bytes.buffer, ...ends];

export function unpackOutputs(packed: CrossingOutputs): {
  readonly id: number;
  readonly answer: RanAnswer;
} {
  const [id, computeUs, slab, buffer, ...ends] = packed;
  const bytes = new Uint8Array(buffer);
  return { id, answer: { type: "ran", computeUs, slab, bytes, ends } };
}
