/** Finding a nats-server: where it is looked for, and what happens when there is none. */

import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findServer, isNewEnough, ServerNotFoundError, type Way } from "../src/index.ts";

let directory: string;
let cacheDirectory: string;
let lines: string[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-find-"));
  cacheDirectory = join(directory, "cache");
  lines = [];
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

const report = (line: string): void => {
  lines.push(line);
};

/** A program that says it is a nats-server of this version. */
async function place(path: string, version: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `#!/bin/sh\necho "nats-server: v${version}"\n`);
  await chmod(path, 0o755);
  return path;
}

const working = (name: string, version: string): Way => ({
  name,
  limitMs: 5_000,
  attempt: async (attempt) => {
    await place(join(attempt.directory, "nats-server"), version);
  },
});

const failing = (name: string, reason: string): Way => ({
  name,
  limitMs: 5_000,
  attempt: () => Promise.reject(new Error(reason)),
});

describe("a server that is here", () => {
  test("is taken from PATH, past one that is too old, which is said", async () => {
    const old = await place(join(directory, "debian", "nats-server"), "2.9.10");
    const good = await place(join(directory, "own", "nats-server"), "2.12.7");
    const path = [join(directory, "none"), dirname(old), dirname(good)].join(delimiter);
    expect(await findServer({ cacheDirectory, report, path, ways: [] })).toBe(good);
    expect(lines).toEqual([`${old} is 2.9.10, older than 2.12.7`]);
  });

  test("is taken from the cache, the newest that runs", async () => {
    await place(join(cacheDirectory, "nats-server-2.9.10", "nats-server"), "2.9.10");
    await place(join(cacheDirectory, "nats-server-2.13.0", "nats-server"), "2.13.0");
    const newest = await place(join(cacheDirectory, "nats-server-2.14.5", "nats-server"), "2.14.5");
    await mkdir(join(cacheDirectory, "nats-server-2.15.0"), { recursive: true });
    expect(await findServer({ cacheDirectory, report, path: "", ways: [] })).toBe(newest);
    expect(lines).toEqual([]);
  });
});

describe("a server that is not here", () => {
  test("is got by the first way that works, and is in the cache from then on", async () => {
    const ways = [failing("release", "fetch failed"), working("go", "2.14.5")];
    const expected = join(cacheDirectory, "nats-server-2.14.5", "nats-server");
    expect(await findServer({ cacheDirectory, report, path: "", ways })).toBe(expected);
    expect(lines).toContain("release: fetch failed");
    expect(await findServer({ cacheDirectory, path: "", ways: [] })).toBe(expected);
    expect(await readdir(cacheDirectory)).toEqual(["nats-server-2.14.5"]);
  });

  test("and cannot be had is an error that lists what was tried and what to do", async () => {
    const old = await place(join(directory, "debian", "nats-server"), "2.9.10");
    const ways = [failing("release", "fetch failed"), working("apt", "2.10.27")];
    const failure = findServer({ cacheDirectory, path: dirname(old), ways });
    await expect(failure).rejects.toBeInstanceOf(ServerNotFoundError);
    const { message } = (await failure.catch((error: unknown) => error)) as Error;
    expect(message).toContain(`${old} is 2.9.10, older than 2.12.7`);
    expect(message).toContain("release: fetch failed");
    expect(message).toContain("apt: it gave 2.10.27, older than 2.12.7");
    expect(message).toContain("--servers URL --credentials DIRECTORY");
    expect(await readdir(cacheDirectory)).toEqual([]);
  });

  test("is not waited for longer than the way's limit", async () => {
    const stuck: Way = {
      name: "stuck",
      limitMs: 20,
      attempt: ({ signal }) => sleep(60_000, undefined, { signal }),
    };
    const found = findServer({ cacheDirectory, path: "", ways: [stuck] });
    await expect(found).rejects.toThrow("stuck: not done after 0.02 s");
  });

  test("is not looked for any further once the search is ended", async () => {
    const ending = new AbortController();
    const first: Way = {
      name: "first",
      limitMs: 5_000,
      attempt: ({ signal }) => {
        ending.abort();
        return sleep(60_000, undefined, { signal });
      },
    };
    const ways = [first, working("second", "2.14.5")];
    const found = findServer({ cacheDirectory, path: "", ways, signal: ending.signal });
    await expect(found).rejects.toThrow("aborted");
    expect(await readdir(cacheDirectory)).toEqual([]);
  });

  test("is waited for with a word at least every two seconds", async () => {
    const slow: Way = {
      ...working("slow", "2.14.5"),
      attempt: async (attempt) => {
        await sleep(3_200);
        await working("slow", "2.14.5").attempt(attempt);
      },
    };
    await findServer({ cacheDirectory, report, path: "", ways: [slow] });
    // A busy machine may be late to say it.
    expect(lines.some((line) => /^slow: still working after [23] s$/.test(line))).toBe(true);
  });
});

test.each([
  ["2.9.10", false],
  ["2.10.27", false],
  ["2.12.6", false],
  ["2.12.7", true],
  ["2.12.15", true],
  ["2.14.5", true],
  ["3.0.0", true],
])("version %s is new enough: %s", (version, expected) => {
  expect(isNewEnough(version)).toBe(expected);
});
