/** Who is alive, and who owns a key. */

import { rendezvousOwner } from "@millrace/std";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Membership } from "../src/index.ts";

const options = { suspectAfterUs: 350_000, forgetAfterUs: 10_000_000 };

describe("membership", () => {
  test("a silent member becomes suspect after the limit and returns when heard", () => {
    const members = new Membership(options);
    expect(members.heard("a", 1, 0)).toBe("joined");
    expect(members.nextChangeUs).toBe(200_000);
    expect(members.expire(200_000)).toEqual([]);
    expect(members.nextChangeUs).toBe(350_000);
    expect(members.expire(349_999)).toEqual([]);
    expect(members.expire(350_000)).toEqual(["a"]);
    expect(members.alive).toEqual([]);
    expect(members.expire(400_000)).toEqual([]);
    expect(members.heard("a", 1, 500_000)).toBe("returned");
    expect(members.alive).toEqual(["a"]);
  });

  test("whoever looks every 100 ms suspects at the first look after the limit", () => {
    for (let phaseUs = 0; phaseUs < 100_000; phaseUs += 1_000) {
      const members = new Membership(options);
      members.heard("a", 1, 0);
      let nowUs = phaseUs;
      while (members.expire(nowUs).length === 0) nowUs += 100_500;
      expect(nowUs - 350_000).toBeGreaterThanOrEqual(0);
      expect(nowUs - 350_000).toBeLessThan(100_500);
    }
  });

  test("what this process slept past is nobody's silence: they are heard first", () => {
    const members = new Membership(options);
    members.heard("a", 1, 0);
    members.heard("b", 1, 0);
    expect(members.expire(640_000)).toEqual([]);
    expect(members.heard("a", 1, 640_000)).toBe("known");
    expect(members.nextChangeUs).toBe(690_000);
    expect(members.expire(690_000)).toEqual(["b"]);
    expect(members.alive).toEqual(["a"]);
  });

  test("a second stall before anybody was heard is excused as well, but not without end", () => {
    const members = new Membership(options);
    members.heard("a", 1, 0);
    const suspectedAt = [1, 2, 3, 4, 5].filter((stall) => members.expire(stall * 600_000).length);
    expect(suspectedAt).toEqual([5]);
  });

  test("after a long sleep who is silent is lost first, and then forgotten", () => {
    const members = new Membership(options);
    members.heard("a", 1, 0);
    expect(members.expire(20_000_000)).toEqual([]);
    expect(members.isAlive("a")).toBe(true);
    expect(members.expire(20_050_000)).toEqual(["a"]);
    expect(members.knows("a")).toBe(false);
  });

  test("a disconnect suspects at once, and only once", () => {
    const members = new Membership(options);
    members.heard("a", 1, 0);
    expect(members.lost("a")).toBe(true);
    expect(members.lost("a")).toBe(false);
    expect(members.lost("nobody")).toBe(false);
    expect(members.isAlive("a")).toBe(false);
  });

  test("another incarnation under the same id is a restart", () => {
    const members = new Membership(options);
    members.heard("a", 1, 0);
    expect(members.heard("a", 2, 10)).toBe("restarted");
    expect(members.heard("a", 2, 20)).toBe("known");
  });

  test("a draining member is known but takes no new work", () => {
    const members = new Membership(options);
    members.heard("a", 1, 0);
    members.heard("b", 1, 0, true);
    expect(members.alive).toEqual(["a"]);
    expect(members.owner("any")).toBe("a");
  });

  test("owners agree with the rendezvous hash, and a loss moves only its own keys", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.stringMatching(/^[a-z][a-z0-9-]{0,10}$/), { minLength: 2, maxLength: 8 }),
        fc.array(fc.string(), { minLength: 1, maxLength: 50 }),
        (ids, keys) => {
          const members = new Membership(options);
          for (const id of ids) members.heard(id, 1, 0);
          const before = keys.map((key) => members.owner(key));
          expect(before).toEqual(keys.map((key) => rendezvousOwner(key, ids)));
          const gone = ids[0] as string;
          members.lost(gone);
          keys.forEach((key, at) => {
            if (before[at] !== gone) expect(members.owner(key)).toBe(before[at]);
            else expect(members.owner(key)).not.toBe(gone);
          });
        },
      ),
    );
  });
});
