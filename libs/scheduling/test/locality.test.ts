/** Callers, devices and their zones: near first, crossing rather than waiting for long. */

import type { Ticket, WorkerHeartbeat } from "@millrace/protocol";
import { describe, expect, test } from "vitest";
import { SchedulerCore, type SchedulerEffect } from "../src/index.ts";
import { beat, ready, record, ticket } from "./fixtures.ts";

const REF = "digits@1";
const RUN_US = 20_000;

type Place = Pick<WorkerHeartbeat, "zone" | "lifecycle">;

/** A core with workers that hold the model, and one ingress that says where it stands. */
function rig(workers: Record<string, Place>, zone: string | undefined = "east") {
  const core = new SchedulerCore({ id: "s1", incarnation: 1, nearWaitUsMax: 5_000 });
  let nowUs = 0;
  const beatOf = (id: string): WorkerHeartbeat => ({
    ...beat(id, { models: [ready(REF, RUN_US)] }),
    ...workers[id],
  });
  core.step({ type: "modelChanged", record: record("digits") }, nowUs);
  for (const id of Object.keys(workers)) {
    core.step({ type: "workerBeat", heartbeat: beatOf(id) }, nowUs);
  }
  if (zone !== undefined) {
    core.step({ type: "ingressBeat", heartbeat: { v: 1, id: "i1", zone } }, nowUs);
  }
  const assigned = (effects: readonly SchedulerEffect[]): string[] =>
    effects.flatMap((effect) => (effect.type === "assign" ? [effect.worker] : []));
  return {
    core,
    beatOf,
    /** Workers that were given something, in order. */
    arrive: (atUs: number, change: Partial<Ticket> = {}, seq = atUs + 1): string[] => {
      nowUs = atUs;
      const tickets = [ticket(seq, { bodyBytes: 100, ...change })];
      const frame = { ingress: "i1", model: REF, tickets };
      return assigned(core.step({ type: "ticketsArrived", frame }, nowUs));
    },
    beats: (atUs: number, id: string, change: Partial<WorkerHeartbeat>): string[] =>
      assigned(core.step({ type: "workerBeat", heartbeat: { ...beatOf(id), ...change } }, atUs)),
    wake: (atUs: number): string[] => assigned(core.step({ type: "woke" }, atUs)),
    done: (atUs: number, worker: string): string[] =>
      assigned(
        core.step(
          {
            type: "batchDone",
            frame: {
              worker,
              incarnation: 1,
              id: 1,
              seen: 1,
              model: REF,
              outcome: "ran",
              rows: 1,
              computeUs: RUN_US,
              backlogUs: 0,
            },
          },
          atUs,
        ),
      ),
  };
}

const EAST = { zone: "east" };
const WEST = { zone: "west" };

describe("a ticket", () => {
  test("goes to an idle device in its caller's zone, whichever was idle last", () => {
    expect(rig({ near: EAST, far: WEST }).arrive(1_000)).toEqual(["near"]);
    expect(rig({ far: WEST, near: EAST }).arrive(1_000)).toEqual(["near"]);
  });

  test("crosses at once where no device nearby is free soon", () => {
    const { arrive } = rig({ near: EAST, far: WEST });
    expect(arrive(1_000)).toEqual(["near"]);
    expect(arrive(2_000, { bodyBytes: 1_000_000 })).toEqual(["far"]);
  });

  test("goes anywhere while nobody knows where its caller stands", () => {
    const { arrive } = rig({ near: EAST, far: WEST }, undefined);
    expect([...arrive(1_000), ...arrive(1_100)].toSorted()).toEqual(["far", "near"]);
  });

  test("with a large body waits for a device nearby that is free in a moment, and gets it", () => {
    const { arrive, done } = rig({ near: EAST, far: WEST });
    expect(arrive(1_000)).toEqual(["near"]);
    // 3 ms before the device is free, which a megabyte is worth.
    expect(arrive(1_000 + RUN_US - 3_000, { bodyBytes: 1_000_000 })).toEqual([]);
    expect(done(1_000 + RUN_US - 500, "near")).toEqual(["near"]);
  });

  test("does not wait for it with a small body", () => {
    const { arrive } = rig({ near: EAST, far: WEST });
    arrive(1_000);
    expect(arrive(1_000 + RUN_US - 3_000, { bodyBytes: 1_000 })).toEqual(["far"]);
  });

  test("crosses after all where the device nearby is not free when it should be", () => {
    const { arrive, beats, core, wake } = rig({ near: EAST, far: WEST });
    arrive(1_000);
    const atUs = 1_000 + RUN_US - 3_000;
    expect(arrive(atUs, { bodyBytes: 1_000_000 })).toEqual([]);
    // It takes far longer than it ever did.
    const held = { s1: { seen: 1, held: [1] } };
    beats(atUs + 100, "near", { backlogUs: 80_000, inFlight: 1, assignments: held });
    expect(core.wakeAtUs).toBeLessThanOrEqual(atUs + 5_000);
    expect(wake(atUs + 5_000)).toEqual(["far"]);
  });

  test("whose deadline is near does not wait", () => {
    const { arrive } = rig({ near: EAST, far: WEST });
    arrive(1_000);
    const remainingUs = 2 * RUN_US + 4_000;
    expect(arrive(1_000 + RUN_US - 3_000, { bodyBytes: 1_000_000, remainingUs })).toEqual(["far"]);
  });
});

describe("spot", () => {
  const fleet = {
    spot: { zone: "east", lifecycle: "spot" },
    taken: { zone: "east", lifecycle: "spot" },
    dear: { zone: "east", lifecycle: "on-demand" },
  } as const;

  test("takes batch work first", () => {
    expect(rig(fleet).arrive(1_000, { tier: 2 })).not.toEqual(["dear"]);
  });

  test("takes realtime only after machines on demand once one of its zone is being taken", () => {
    const { arrive, beats } = rig({ dear: fleet.dear, spot: fleet.spot, taken: fleet.taken });
    beats(500, "taken", { state: "draining" });
    expect(arrive(1_000, { tier: 0 })).toEqual(["dear"]);
    expect(arrive(1_100, { tier: 0 })).toEqual(["spot"]);
  });

  test("is as good as any again two minutes after the last notice", () => {
    const { arrive, beats, wake } = rig({ dear: fleet.dear, spot: fleet.spot, taken: fleet.taken });
    beats(500, "taken", { state: "draining" });
    const laterUs = 121_000_000;
    wake(laterUs);
    beats(laterUs, "dear", {});
    beats(laterUs, "spot", {});
    expect(arrive(laterUs + 1, { tier: 0 })).toEqual(["spot"]);
  });
});
