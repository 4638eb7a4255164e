/** A process's log on disk. */

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LogFile } from "../../src/up/log-file.ts";

let directory: string;
let path: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-log-"));
  path = join(directory, "worker.log");
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

test("each run has a log of its own, and the one before is kept", async () => {
  for (const run of ["first", "second", "third"]) {
    using log = new LogFile(path);
    log.write(`${run} run`);
  }
  expect(await readFile(path, "utf8")).toBe("third run\n");
  expect(await readFile(`${path}.previous`, "utf8")).toBe("second run\n");
});

test("a log that reaches its bound begins again (I6)", async () => {
  using log = new LogFile(path, 100);
  for (let line = 0; line < 50; line++) log.write(`line ${line}`);
  expect((await readFile(path, "utf8")).length).toBeLessThan(120);
  expect((await readFile(`${path}.previous`, "utf8")).length).toBeLessThan(120);
  expect(await readFile(path, "utf8")).toContain("line 49\n");
});

test("the last lines are at hand, and a line after the end is dropped", () => {
  const log = new LogFile(path);
  for (let line = 0; line < 50; line++) log.write(`line ${line}`);
  log[Symbol.dispose]();
  log.write("late");
  expect(log.lastLines).toHaveLength(12);
  expect(log.lastLines.at(-1)).toBe("line 49");
});
