/** Packing against the optimum of a mixed-integer solver (HiGHS), on small cases. */

import { present } from "@millrace/std";
import fc from "fast-check";
import loadHighs from "highs";
import { describe, expect, test } from "vitest";
import { type Packed, type PackKind, packModels, type PackModel } from "../src/index.ts";

// The package's types describe its CommonJS build; what is imported is the function itself.
const highs = await (loadHighs as unknown as (typeof loadHighs)["default"])();

/** The heuristic is never dearer than this many times the bound that the solver proves. */
const FACTOR_MAX = 1.5;
/** On average over the drawn cases it is within this. */
const FACTOR_MEAN_MAX = 1.05;

const kinds: readonly PackKind[] = [
  { kind: "gpu", memoryBytes: 24, microsPerHour: 978 },
  { kind: "small-gpu", memoryBytes: 8, microsPerHour: 420 },
  { kind: "cpu", memoryBytes: 32, microsPerHour: 205 },
];

const modelOf = (
  model: string,
  requestsPerSecond: number,
  capacities: Readonly<Record<string, number>>,
  rest: Partial<PackModel> = {},
): PackModel => ({
  model,
  requestsPerSecond,
  memoryBytes: 4,
  copiesMin: 0,
  capacities: new Map(Object.entries(capacities)),
  ...rest,
});

/**
 * A lower bound of every packing: workers, copies and shares of load, with time and memory summed
 * over the workers of a kind instead of held on each.
 */
function boundOf(models: readonly PackModel[], among: readonly PackKind[]): number {
  const rows: string[] = [];
  const whole = new Set<string>();
  const cost = among.map(({ microsPerHour }, k) => `${microsPerHour} n${k}`);
  const able = (model: PackModel, kind: PackKind): number =>
    model.memoryBytes <= kind.memoryBytes ? (model.capacities.get(kind.kind) ?? 0) : 0;
  models.forEach((model, m) => {
    const on = among.flatMap((kind, k) => (able(model, kind) > 0 ? [k] : []));
    rows.push(`${on.map((k) => `x${m}_${k}`).join(" + ")} = ${model.requestsPerSecond}`);
    rows.push(`${on.map((k) => `y${m}_${k}`).join(" + ")} >= ${model.copiesMin}`);
    for (const k of on) {
      whole.add(`y${m}_${k}`);
      rows.push(`y${m}_${k} - n${k} <= 0`);
      rows.push(`x${m}_${k} - ${able(model, present(among[k], "a kind"))} y${m}_${k} <= 0`);
    }
  });
  among.forEach((kind, k) => {
    whole.add(`n${k}`);
    const on = models.flatMap((model, m) => (able(model, kind) > 0 ? [{ model, m }] : []));
    if (on.length === 0) return;
    const time = on.map(({ model, m }) => `${1 / able(model, kind)} x${m}_${k}`).join(" + ");
    rows.push(`${time} - n${k} <= 0`);
    const memory = on.map(({ model, m }) => `${model.memoryBytes} y${m}_${k}`).join(" + ");
    rows.push(`${memory} - ${kind.memoryBytes} n${k} <= 0`);
  });
  const program = `Minimize\n obj: ${cost.join(" + ")}\nSubject To\n${rows
    .map((row, at) => ` c${at}: ${row}`)
    .join("\n")}\nGeneral\n ${[...whole].join(" ")}\nEnd`;
  const solution = highs.solve(program);
  expect(solution.Status).toBe("Optimal");
  return solution.ObjectiveValue;
}

const costOf = ({ workers }: Packed): number =>
  kinds.reduce((sum, { kind, microsPerHour }) => sum + (workers.get(kind) ?? 0) * microsPerHour, 0);

function expectSound(models: readonly PackModel[], packed: Packed): void {
  expect(packed.unplaceable).toEqual([]);
  for (const { model, requestsPerSecond, copiesMin } of models) {
    const parts = packed.placements.filter((placement) => placement.model === model);
    const rate = parts.reduce((sum, part) => sum + part.requestsPerSecond, 0);
    expect(rate).toBeCloseTo(requestsPerSecond, 4);
    expect(parts.reduce((sum, part) => sum + part.copies, 0)).toBeGreaterThanOrEqual(copiesMin);
  }
  for (const { kind, memoryBytes } of kinds) {
    const count = packed.workers.get(kind) ?? 0;
    let [time, memory] = [0, 0];
    for (const part of packed.placements.filter((placement) => placement.kind === kind)) {
      const model = present(
        models.find((each) => each.model === part.model),
        "the model",
      );
      time += part.requestsPerSecond / present(model.capacities.get(kind), "a capacity");
      memory += part.copies * model.memoryBytes;
      expect(part.copies).toBeLessThanOrEqual(count);
    }
    expect(time).toBeLessThanOrEqual(count + 1e-6);
    expect(memory).toBeLessThanOrEqual(count * memoryBytes);
    expect(packed.free.get(kind) ?? 0).toBeCloseTo(count - time, 4);
  }
}

const drawnModel = fc.record({
  rate: fc.oneof(fc.constant(0), fc.double({ min: 0.1, max: 500, noNaN: true })),
  gpu: fc.integer({ min: 50, max: 200 }),
  smallShare: fc.double({ min: 0.1, max: 0.6, noNaN: true }),
  cpuShare: fc.double({ min: 0.01, max: 0.25, noNaN: true }),
  memoryBytes: fc.integer({ min: 1, max: 8 }),
  copiesMin: fc.integer({ min: 0, max: 2 }),
});

describe("packing", () => {
  test("is sound, and close to the optimum, for any models", () => {
    const factors: number[] = [];
    fc.assert(
      fc.property(fc.array(drawnModel, { minLength: 1, maxLength: 4 }), (drawn) => {
        const models = drawn.map((each, at) =>
          modelOf(
            `m${at}`,
            each.rate,
            {
              gpu: each.gpu,
              "small-gpu": each.gpu * each.smallShare,
              cpu: each.gpu * each.cpuShare,
            },
            each,
          ),
        );
        const packed = packModels(models, kinds);
        expectSound(models, packed);
        const [cost, bound] = [costOf(packed), boundOf(models, kinds)];
        if (bound < 1) expect(cost).toBe(0);
        else factors.push(cost / bound);
      }),
      { seed: 4, numRuns: 16, endOnFailure: true },
    );
    const mean = factors.reduce((sum, factor) => sum + factor, 0) / factors.length;
    expect(Math.max(...factors)).toBeLessThanOrEqual(FACTOR_MAX);
    expect(mean).toBeLessThanOrEqual(FACTOR_MEAN_MAX);
  });

  test("puts the bulk on what is cheapest by the request, and the rest where it is free", () => {
    const models = [
      modelOf("big", 250, { gpu: 100, cpu: 5 }),
      modelOf("small", 20, { gpu: 100, cpu: 5 }),
    ];
    expect([...packModels(models, kinds).workers]).toEqual([["gpu", 3]]);
  });

  test("serves small models from a CPU where a GPU would stand idle", () => {
    const models = [modelOf("small", 4, { gpu: 100, cpu: 5 })];
    expect([...packModels(models, kinds).workers]).toEqual([["cpu", 1]]);
  });

  test("counts the memory of every copy", () => {
    const three = ["a", "b", "c"].map((name) =>
      modelOf(name, 1, { gpu: 100 }, { memoryBytes: 12 }),
    );
    expect([...packModels(three, kinds).workers]).toEqual([["gpu", 2]]);
  });

  test("puts copies of one model on different workers", () => {
    const packed = packModels([modelOf("a", 1, { gpu: 100 }, { copiesMin: 2 })], kinds);
    expect([...packed.workers]).toEqual([["gpu", 2]]);
  });

  test("needs no worker for a model that nothing is asked of", () => {
    expect(packModels([modelOf("a", 0, { gpu: 100 })], kinds).workers.size).toBe(0);
  });

  test("names models that nothing holds", () => {
    const models = [modelOf("huge", 1, { gpu: 100 }, { memoryBytes: 80 }), modelOf("odd", 1, {})];
    expect(packModels(models, kinds).unplaceable.toSorted()).toEqual(["huge", "odd"]);
  });
});
