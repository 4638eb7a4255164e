/** The healer heals in time, when told, and when whoever injects is killed. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Healer } from "../src/healer/healer.ts";
import { markOf, type ProcessMark, signalProcess } from "../src/processes.ts";
import { readFileSync } from "node:fs";

const LONG_US = 60_000_000;
let directory: string;
let healer: Healer;
const started: ProcessMark[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-healer-"));
  healer = new Healer();
});

afterEach(async () => {
  await healer[Symbol.asyncDispose]();
  for (const mark of started.splice(0)) signalProcess(mark, "SIGKILL");
  await rm(directory, { recursive: true, force: true });
});

function sleeper(): ProcessMark {
  const { pid = 0 } = spawn("sleep", ["60"], { stdio: "ignore" });
  const mark = markOf(pid);
  if (mark === undefined) throw new Error("sleep did not start");
  started.push(mark);
  return mark;
}

function stateOf({ pid }: ProcessMark): string {
  const line = readFileSync(`/proc/${pid}/stat`, "latin1");
  return line.slice(line.lastIndexOf(")") + 2)[0] ?? "";
}

async function until(condition: () => boolean, msMax = 5_000): Promise<void> {
  const lastMs = performance.now() + msMax;
  while (!condition()) {
    if (performance.now() > lastMs) throw new Error(`not within ${msMax} ms`);
    await sleep(5);
  }
}

const goOn = (mark: ProcessMark) => [{ type: "signal", mark, signal: "SIGCONT" } as const];

test("what is over by time is undone then, and what is healed is undone at once", async () => {
  const [slow, quick] = [sleeper(), sleeper()];
  const held = await healer.hold("slow", goOn(slow), 300_000);
  const told = await healer.hold("quick", goOn(quick), LONG_US);
  signalProcess(slow, "SIGSTOP");
  signalProcess(quick, "SIGSTOP");
  healer.heal("quick");
  expect(await told.healed).toEqual({ by: "told", errors: [] });
  expect(stateOf(quick)).not.toBe("T");
  expect(await held.healed).toEqual({ by: "time", errors: [] });
  expect(stateOf(slow)).not.toBe("T");
});

test("when the injector is killed, everything is undone", async () => {
  const mark = sleeper();
  const path = join(directory, "fill");
  await writeFile(path, "full");
  const actions = [...goOn(mark), { type: "removeFile", path }];
  const entry = fileURLToPath(new URL("../src/healer/healer.ts", import.meta.url));
  const script = `
    import { Healer } from ${JSON.stringify(entry)};
    await new Healer().hold("f", ${JSON.stringify(actions)}, ${LONG_US});
    process.kill(${mark.pid}, "SIGSTOP");
    console.log("injected");
  `;
  const injector = spawn(process.execPath, ["--input-type=module-typescript", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(injector.stdout, "data");
  await until(() => stateOf(mark) === "T");
  injector.kill("SIGKILL");
  await until(() => stateOf(mark) !== "T");
  await sleep(100);
  await expect(readFile(path)).rejects.toThrow("ENOENT");
});

test("when the healer is killed, the injector undoes everything, and starts another", async () => {
  const mark = sleeper();
  const { healed } = await healer.hold("f", goOn(mark), LONG_US);
  signalProcess(mark, "SIGSTOP");
  process.kill(healer.pid ?? 0, "SIGKILL");
  expect(await healed).toEqual({ by: "healer-lost", errors: [] });
  expect(stateOf(mark)).not.toBe("T");
  const again = await healer.hold("g", goOn(mark), 50_000);
  expect((await again.healed).by).toBe("time");
});

test("a throttled process runs and stands in turns, and runs at the end", async () => {
  const mark = sleeper();
  const { healed } = await healer.hold("f", goOn(mark), LONG_US);
  healer.throttle("f", { marks: [mark], share: 0.5, periodUs: 40_000 });
  const seen = new Set<boolean>();
  await until(() => seen.add(stateOf(mark) === "T").size === 2);
  healer.heal("f");
  await healed;
  expect(stateOf(mark)).not.toBe("T");
});

test("a process id that is another's by now is left alone", () => {
  const mark = sleeper();
  const other = { ...mark, startTicks: mark.startTicks - 1 };
  expect(signalProcess(other, "SIGKILL")).toBe(false);
  expect(markOf(mark.pid)).toEqual(mark);
});
