/** What can be done to a model's record, and what is refused with which code. */

import type { ErrorCode, Fault } from "@millrace/protocol";
import { type Result } from "@millrace/std";
import { describe, expect, test } from "vitest";
import {
  activate,
  addVersion,
  checkProvenance,
  removeVersion,
  rollback,
  setLoaded,
} from "../src/index.ts";
import { digestNumber, draft, record } from "./specs.ts";

function value<T>(result: Result<T, Fault>): T {
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}

const expectCode = (result: Result<unknown, Fault>, code: ErrorCode): void => {
  expect(result).toMatchObject({ ok: false, error: { code } });
};

describe("adding versions", () => {
  test("the first version of a model answers at once", () => {
    const made = value(addVersion(undefined, draft("m")));
    expect(made).toMatchObject({ name: "m", active: 1, loaded: true, latest: 1 });
    expect(made.versions[1]?.version).toBe(1);
    expect(made.previous).toBeUndefined();
  });

  test("a later version waits until it is activated", () => {
    const made = record("m", 2);
    expect(Object.keys(made.versions)).toEqual(["1", "2"]);
    expect(made.active).toBe(1);
  });

  test("the same bytes with the same description are refused by the version they are", () => {
    const again = addVersion(
      record("m", 2),
      draft("m", { digest: digestNumber(1), createdAt: "2027-01-01T00:00:00.000Z" }),
    );
    expectCode(again, "MODEL_EXISTS");
    expect(again).toMatchObject({ error: { message: expect.stringContaining("m@1") } });
  });

  test("the same bytes with another description are another version", () => {
    const relabelled = draft("m", { digest: digestNumber(1), labels: ["a", "b"] });
    expect(value(addVersion(record("m"), relabelled)).versions[2]?.labels).toEqual(["a", "b"]);
  });

  test("the order of a description's fields is no difference", () => {
    const { name, ...rest } = draft("m", { digest: digestNumber(1) });
    expectCode(addVersion(record("m"), { ...rest, name }), "MODEL_EXISTS");
  });

  test("the number of a removed version is not given again", () => {
    const removed = value(removeVersion(record("m", 3), 3));
    const added = value(addVersion(removed, draft("m", { digest: digestNumber(9) })));
    expect(Object.keys(added.versions)).toEqual(["1", "2", "4"]);
  });

  test("the thousandth version is the last", () => {
    const full = { ...record("m"), latest: 1000 };
    expectCode(addVersion(full, draft("m", { digest: digestNumber(2) })), "MODEL_TOO_LARGE");
  });

  test("blank provenance is refused, and what is missing is named", () => {
    const blank = checkProvenance({ source: "  ", upstreamName: "m" });
    expectCode(blank, "PROVENANCE_MISSING");
    expect(blank).toMatchObject({
      error: { message: expect.stringMatching(/source.*licence/) },
    });
    expectCode(
      addVersion(undefined, {
        ...draft("m"),
        provenance: { source: "s", upstreamName: "", licence: "l" },
      }),
      "PROVENANCE_MISSING",
    );
  });
});

describe("which version answers", () => {
  test("activating remembers what to return to", () => {
    expect(value(activate(record("m", 2), 2))).toMatchObject({ active: 2, previous: 1 });
  });

  test("activating what is active changes nothing", () => {
    const made = record("m", 2);
    expect(value(activate(made, 1))).toBe(made);
  });

  test("a version that is not there cannot be activated", () => {
    expectCode(activate(record("m"), 7), "VERSION_NOT_FOUND");
  });

  test("a rollback returns, and a second one undoes it", () => {
    const newest = value(activate(record("m", 2), 2));
    const back = value(rollback(newest));
    expect(back).toMatchObject({ active: 1, previous: 2 });
    expect(value(rollback(back))).toMatchObject({ active: 2, previous: 1 });
  });

  test("without an earlier version there is nothing to roll back to", () => {
    expectCode(rollback(record("m")), "VERSION_NOT_FOUND");
  });
});

describe("taking away", () => {
  test("the active version cannot be removed", () => {
    expectCode(removeVersion(record("m", 2), 1), "INVALID_REQUEST");
  });

  test("removing what a rollback would return to leaves nothing to return to", () => {
    const newest = value(activate(record("m", 2), 2));
    const removed = value(removeVersion(newest, 1));
    expect(Object.keys(removed.versions)).toEqual(["2"]);
    expectCode(rollback(removed), "VERSION_NOT_FOUND");
  });

  test("another version's removal keeps what a rollback returns to", () => {
    const newest = value(activate(record("m", 3), 3));
    expect(value(removeVersion(newest, 2)).previous).toBe(1);
  });

  test("an unknown version cannot be removed", () => {
    expectCode(removeVersion(record("m"), 2), "VERSION_NOT_FOUND");
  });

  test("unloading and loading are told apart from no change", () => {
    const made = record("m");
    expect(value(setLoaded(made, false)).loaded).toBe(false);
    expect(value(setLoaded(made, true))).toBe(made);
  });
});
