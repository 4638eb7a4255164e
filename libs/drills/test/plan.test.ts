/** Plans: when, on whom, and what is refused before anything is touched. */

import { describe, expect, test } from "vitest";
import { present } from "@millrace/std";
import { type Drill, planDrill, readDrill } from "../src/index.ts";
import { action, document, MEMBERS } from "./fixtures.ts";

function drillOf(method: readonly object[], extension: object = {}): Drill {
  const drill = readDrill(document({ method }, extension));
  return present(drill.ok ? drill.value : undefined, "a sound drill");
}

const problemsOf = (drill: Drill): string => {
  const plan = planDrill(drill, { seed: 1, members: MEMBERS });
  return plan.ok ? "" : plan.error.map(({ message }) => message).join("\n");
};

describe("planDrill", () => {
  const kill = action("chaos fault kill --role gpu-worker --count 1 --for 2s", {
    pauses: { before: 1, after: 3 },
  });

  test("places each step after the warm-up, the one before it and the pauses", () => {
    const plan = planDrill(drillOf([kill, kill]), { seed: 1, members: MEMBERS });
    expect(plan.ok && plan.value.steps.map(({ atUs }) => atUs / 1e6)).toEqual([6, 12]);
  });

  test("does not wait for what runs in the background", () => {
    const plan = planDrill(drillOf([{ ...kill, background: true }, kill], { blast: BOTH }), {
      seed: 1,
      members: MEMBERS,
    });
    expect(plan.ok && plan.value.steps.map(({ atUs }) => atUs / 1e6)).toEqual([6, 10]);
  });

  test("draws the same targets for the same seed, and others for others", () => {
    const drill = drillOf([kill, kill, kill]);
    const targets = (seed: number): string => {
      const plan = planDrill(drill, { seed, members: MEMBERS });
      return plan.ok ? plan.value.steps.flatMap((step) => step.targets).join() : "refused";
    };
    expect(targets(1)).toBe(targets(1));
    expect(new Set(Array.from({ length: 20 }, (_, seed) => targets(seed))).size).toBeGreaterThan(5);
  });

  test("leaves out what a shorter load does not come to", () => {
    const plan = planDrill(drillOf([kill, kill]), { seed: 1, durationUs: 12_000_000 });
    expect(plan.ok && [plan.value.steps.length, plan.value.omitted.length]).toEqual([1, 1]);
  });

  test.each([
    ["chaos fault kill --id gpu-worker-9 --for 2s", "gpu-worker-9 is not of this cluster"],
    ["chaos fault kill --role forecaster --for 2s", "no role forecaster"],
    ["chaos fault kill --role gpu-worker --for 2s", "hits 3 members at once"],
    ["chaos fault kill --role gpu-worker --count 4 --for 2s", "the cluster has 3"],
    ["chaos fault kill --role nats --for 2s", "hits 1 of 1 of role nats"],
    ["chaos fault disk-full --role gpu-worker --count 1 --for 2s", "no fault of a gpu-worker"],
    ["chaos fault kill --role gpu-worker --count 1 --for 9m", "has to be over 2s before the load"],
  ])("refuses %s", (words, message) => {
    expect(problemsOf(drillOf([action(words)]))).toContain(message);
  });

  test("counts faults that overlap together", () => {
    const one = (id: string): object =>
      action(`chaos fault pause --id ${id} --for 5s`, { background: true });
    const drill = drillOf([one("gpu-worker-1"), one("gpu-worker-2")]);
    expect(problemsOf(drill)).toContain("hits 2 members at once, blast.max-targets is 1");
    const allowed = drillOf([one("gpu-worker-1"), one("gpu-worker-2")], { blast: BOTH });
    expect(problemsOf(allowed)).toBe("");
  });

  test("refuses a role that the cluster does not have", () => {
    const drill = drillOf([action("chaos fault kill --role cpu-worker --count 1 --for 2s")]);
    const plan = planDrill(drill, { seed: 1, members: MEMBERS.slice(0, 3) });
    expect(!plan.ok && plan.error[0]?.message).toContain("aimed at nothing");
  });
});

const BOTH = { "max-targets": 2, "max-fraction": 1, "min-healthy": 0 };
