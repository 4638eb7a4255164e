/** Who is hit, and what is refused before anything is touched. */

import { BLAST_DEFAULT, type FaultSpec, type FaultTarget } from "@millrace/protocol";
import { describe, expect, test } from "vitest";
import { chooseTargets } from "../src/targets.ts";
import type { FaultMember } from "../src/types.ts";

const member = (id: string, role: string, pid?: number): FaultMember =>
  pid === undefined ? { id, role } : { id, role, pid };

const MEMBERS: readonly FaultMember[] = [
  member("nats-1", "nats", 2),
  member("ingress-1", "ingress", 3),
  member("scheduler-1", "scheduler", 4),
  member("scheduler-2", "scheduler", 5),
  ...[1, 2, 3, 4].map((number) => member(`gpu-worker-${number}`, "gpu-worker", 10 + number)),
  member("cpu-worker-1", "cpu-worker"),
];
const ANYBODY = { targetsMax: 100, fractionMax: 1, healthyMin: 0 };

const spec = (target: FaultTarget, kind: FaultSpec["kind"] = "kill"): FaultSpec => ({
  kind,
  target,
  durationUs: 1_000_000,
  options: {},
});

function choose(
  target: FaultTarget,
  change: Partial<Parameters<typeof chooseTargets>[1]> = {},
  kind: FaultSpec["kind"] = "kill",
): readonly string[] | string {
  const base = { members: MEMBERS, running: [], blast: BLAST_DEFAULT, seed: 1 };
  const chosen = chooseTargets(spec(target, kind), { ...base, ...change });
  return chosen.ok ? chosen.value.map(({ id }) => id) : chosen.error.code;
}

describe("who", () => {
  test("one by its id", () => expect(choose({ id: "scheduler-2" })).toEqual(["scheduler-2"]));

  test("all of a role, and both kinds of workers", () => {
    expect(choose({ role: "gpu-worker" }, { blast: ANYBODY })).toHaveLength(4);
    // cpu-worker-1 does not run at the moment.
    expect(choose({ role: "worker" }, { blast: ANYBODY })).toHaveLength(4);
  });

  test("all of the role where what is taken away is shared", () => {
    const ask = { id: "scheduler-1" };
    expect(choose(ask, { blast: ANYBODY }, "revoke-credentials")).toEqual([
      "scheduler-1",
      "scheduler-2",
    ]);
    expect(choose(ask, {}, "revoke-credentials")).toBe("FAULT_BLAST_RADIUS");
  });

  test("so many, as the seed draws them", () => {
    const blast = { ...BLAST_DEFAULT, targetsMax: 2 };
    const target = { role: "gpu-worker", count: 2, choice: "seeded" } as const;
    const drawn = Array.from({ length: 20 }, (_, seed) => choose(target, { seed, blast }));
    expect(drawn).toEqual(Array.from({ length: 20 }, (_, seed) => choose(target, { seed, blast })));
    expect(new Set(drawn.map(String)).size).toBeGreaterThan(2);
    for (const ids of drawn) expect(ids).toHaveLength(2);
  });
});

describe("what is refused", () => {
  test.each([
    ["nobody", { id: "gpu-worker-9" }, "FAULT_NO_TARGET"],
    ["a role that nobody has", { role: "forecaster" }, "FAULT_NO_TARGET"],
    ["somebody who does not run", { id: "cpu-worker-1" }, "FAULT_NO_TARGET"],
    ["more than there are", { role: "nats", count: 2, choice: "seeded" }, "FAULT_NO_TARGET"],
    ["what injects", { role: "chaos-monkey" }, "FAULT_PROTECTED"],
    ["what stands between", { id: "fault-proxy-1" }, "FAULT_PROTECTED"],
    ["everything", { role: "gpu-worker" }, "FAULT_BLAST_RADIUS"],
    ["the only one", { id: "ingress-1" }, "FAULT_BLAST_RADIUS"],
  ] as const)("%s", (_what, target, code) => expect(choose(target)).toBe(code));

  test("a kind that the role does not have", () => {
    expect(choose({ id: "scheduler-1" }, {}, "gpu-oom")).toBe("FAULT_UNAVAILABLE");
  });

  test("more than a share of the role", () => {
    const target = { role: "gpu-worker", count: 3, choice: "seeded" } as const;
    const blast = { targetsMax: 9, fractionMax: 0.5, healthyMin: 1 };
    expect(choose(target, { blast })).toBe("FAULT_BLAST_RADIUS");
    expect(choose(target, { blast: { ...blast, fractionMax: 0.75 } })).toHaveLength(3);
  });

  test("one more while others are hit already", () => {
    const running = [{ targets: ["scheduler-1"] }];
    const blast = { ...BLAST_DEFAULT, targetsMax: 5 };
    expect(choose({ id: "scheduler-2" }, { running, blast })).toBe("FAULT_BLAST_RADIUS");
    expect(choose({ id: "gpu-worker-1" }, { running })).toBe("FAULT_BLAST_RADIUS");
    expect(choose({ id: "gpu-worker-1" }, { running, blast })).toEqual(["gpu-worker-1"]);
  });
});
