/** The driver's view against heartbeats: what differs, and what is done about it. */

import { describe, expect, test } from "vitest";
import {
  compareFleet,
  type HeardWorker,
  type ListedMember,
  type MemberState,
  poolKey,
} from "../src/index.ts";
import { POOLS } from "./pools.ts";

const [BASE, SPOT] = POOLS;
const NOW_US = 1_000_000_000;
const LONG_AGO_US = 0;

const listed = (id: string, fields: Partial<ListedMember> = {}): ListedMember => ({
  id,
  ...BASE,
  state: "ready",
  sinceUs: LONG_AGO_US,
  ...fields,
});
const heard = (id: string, fields: Partial<HeardWorker> = {}): HeardWorker => ({
  id,
  ...BASE,
  heardAtUs: NOW_US - 100_000,
  ...fields,
});
const compare = (members: readonly ListedMember[], beats: readonly HeardWorker[]) =>
  compareFleet({ listed: members, heard: beats, nowUs: NOW_US });

describe("a driver and heartbeats", () => {
  test("that agree differ in nothing, and confirm each other", () => {
    const { actions, confirmed, differences, disputed } = compare(
      [listed("a"), listed("b"), listed("c", SPOT)],
      [heard("a"), heard("b"), heard("c", SPOT)],
    );
    expect({ actions, differences, disputed }).toEqual({
      actions: [],
      differences: [],
      disputed: false,
    });
    expect([confirmed.get(poolKey(BASE)), confirmed.get(poolKey(SPOT))]).toEqual([2, 1]);
  });

  test("a member that is listed as ready and never speaks is replaced, and not counted", () => {
    const { actions, confirmed, differences } = compare(
      [listed("a"), listed("liar"), listed("b")],
      [heard("a"), heard("b")],
    );
    expect(differences).toEqual([{ type: "silent", id: "liar", pool: BASE }]);
    expect(actions).toEqual([{ id: "liar", pool: BASE, reason: "silent" }]);
    expect(confirmed.get(poolKey(BASE))).toBe(2);
  });

  test("a heartbeat of before says nothing about now", () => {
    const beats = [heard("a"), heard("b"), heard("c", { heardAtUs: NOW_US - 2_000_001 })];
    const { actions } = compare([listed("a"), listed("b"), listed("c")], beats);
    expect(actions.map(({ id }) => id)).toEqual(["c"]);
  });

  test("a member may be silent while it is young, starting, draining or gone", () => {
    const states: readonly MemberState[] = ["starting", "draining", "gone"];
    const members = [
      listed("young", { sinceUs: NOW_US - 60_000_000 }),
      listed("quiet", { heardAtUs: NOW_US - 10_000_000 }),
      ...states.map((state) => listed(state, { state, sinceUs: NOW_US - 1_000_000 })),
    ];
    expect(compare(members, []).differences).toEqual([]);
  });

  test("a member that spoke is replaced sooner than one whose device still opens", () => {
    const members = [
      listed("a"),
      listed("b"),
      listed("c"),
      listed("opens", { sinceUs: NOW_US - 30_000_000 }),
      listed("frozen", { sinceUs: NOW_US - 30_000_000, heardAtUs: NOW_US - 10_000_001 }),
    ];
    const { actions } = compare(members, [heard("a"), heard("b"), heard("c")]);
    expect(actions.map(({ id }) => id)).toEqual(["frozen"]);
  });

  test("a member that does not become ready is replaced", () => {
    const { actions, differences } = compare([listed("slow", { state: "starting" })], []);
    expect(differences).toEqual([{ type: "late", id: "slow", pool: BASE }]);
    expect(actions).toEqual([{ id: "slow", pool: BASE, reason: "late" }]);
  });

  test("one that speaks unlisted, or is said to be gone, is reported and not ended", () => {
    const { actions, differences } = compare(
      [listed("ghost", { state: "gone" })],
      [heard("ghost"), heard("stranger")],
    );
    expect(differences).toEqual([
      { type: "undead", id: "ghost", pool: BASE },
      { type: "unlisted", id: "stranger" },
    ]);
    expect(actions).toEqual([]);
  });

  test("a member in another zone or of another price than listed is reported", () => {
    const { differences } = compare(
      [listed("a")],
      [heard("a", { zone: "west", lifecycle: "spot", kind: undefined })],
    );
    expect(differences).toEqual([
      { type: "mislabelled", id: "a", pool: BASE, field: "zone", listed: "east", heard: "west" },
      {
        type: "mislabelled",
        id: "a",
        pool: BASE,
        field: "lifecycle",
        listed: "on-demand",
        heard: "spot",
      },
    ]);
  });

  test("an id that is listed twice counts once", () => {
    const { confirmed, differences } = compare([listed("a"), listed("a")], [heard("a")]);
    expect(differences).toEqual([{ type: "twice", id: "a", pool: BASE }]);
    expect(confirmed.get(poolKey(BASE))).toBe(1);
  });

  test("a driver most of whose fleet is silent is disputed, and nothing is replaced", () => {
    const { actions, differences, disputed } = compare(
      [listed("a"), listed("b"), listed("c")],
      [heard("a")],
    );
    expect(differences.map(({ type }) => type)).toEqual(["silent", "silent"]);
    expect({ actions, disputed }).toEqual({ actions: [], disputed: true });
  });
});
