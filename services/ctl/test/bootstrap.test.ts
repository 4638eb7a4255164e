/** The way from a bare checkout to a running command, with a stand-in for npm and for Node. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { access, chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

const BOOTSTRAP = fileURLToPath(new URL("../bootstrap.mjs", import.meta.url));
const LOCK = {
  packages: {
    "": { name: "millrace" },
    "libs/std": { name: "@millrace/std", version: "0.1.0" },
    "node_modules/node": { version: "24.0.0" },
    "node_modules/@millrace/std": { resolved: "libs/std", link: true },
    "node_modules/only-on-windows": { version: "1.0.0", optional: true },
  },
};
const START_MS_MAX = 4_000;
const { "node_modules/only-on-windows": _absent, ...INSTALLED } = LOCK.packages;

let root: string;
let started: ChildProcess[] = [];
/** Where the bootstrap finds programs, npm among them. */
let searchPath: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "millrace-bootstrap-"));
  await mkdir(join(root, "services/ctl"), { recursive: true });
  await mkdir(join(root, "bin"));
  searchPath = `${join(root, "bin")}:/usr/bin:/bin`;
  await copyFile(BOOTSTRAP, join(root, "services/ctl/bootstrap.mjs"));
  await writeFile(join(root, "package-lock.json"), JSON.stringify(LOCK));
});

afterEach(async () => {
  // A test that ran out of time leaves nobody behind: each is the leader of a group of its own.
  for (const { pid } of started) endGroup(pid);
  started = [];
  await rm(root, { recursive: true, force: true });
});

function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // All of it has ended.
  }
}

async function script(path: string, body: string): Promise<void> {
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(path, `#!/bin/sh\n${body}\n`);
  await chmod(path, 0o755);
}

/** A node_modules as npm leaves it, with a Node that says how it was called. */
async function placeModules(record: object, nodeBody = 'echo "node $*"; exit 7'): Promise<void> {
  await script(join(root, "node_modules/.bin/node"), nodeBody);
  await writeFile(
    join(root, "node_modules/.package-lock.json"),
    JSON.stringify({ packages: record }),
  );
}

/** An npm that notes how it was called, and leaves a node_modules when it succeeds. */
async function placeNpm(code: number): Promise<void> {
  const record = JSON.stringify({ packages: INSTALLED });
  await script(
    join(root, "bin/npm"),
    [
      `echo "$* $ONNXRUNTIME_NODE_INSTALL" >> ${root}/npm-calls`,
      `echo "npm says a word" >&2`,
      `[ ${code} = 0 ] || exit ${code}`,
      `mkdir -p node_modules/.bin`,
      `printf '#!/bin/sh\\necho "node $*"\\nexit 7\\n' > node_modules/.bin/node`,
      `chmod +x node_modules/.bin/node`,
      `echo '${record}' > node_modules/.package-lock.json`,
    ].join("\n"),
  );
}

function start(args: readonly string[]): ChildProcess {
  const { npm_execpath: _npm, npm_node_execpath: _node, ...env } = process.env;
  const child = spawn(process.execPath, [join(root, "services/ctl/bootstrap.mjs"), ...args], {
    env: { ...env, PATH: searchPath },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  started.push(child);
  return child;
}

async function run(
  ...args: readonly string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = start(args);
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout: stdout.replaceAll(`${root}/`, ""), stderr };
}

/** Whole clusters are left to .ci/run. */
const PROJECTS = "--project unit --project repository --project sim";
const FLAG = "--external-memory-accounted-in-global-limit";
const npmCalls = (): Promise<string> =>
  readFile(join(root, "npm-calls"), "utf8").catch(() => "none");

describe("a checkout with everything installed", () => {
  test("starts the command at once, with its arguments and its exit code", async () => {
    await placeModules(INSTALLED);
    await placeNpm(0);
    expect(await run("up", "--workers", "2")).toEqual({
      code: 7,
      stdout: `node ${FLAG} services/ctl/src/main.ts up --workers 2\n`,
      stderr: "",
    });
    expect(await npmCalls()).toBe("none");
  });

  test("runs a script of the repository", async () => {
    await placeModules(INSTALLED);
    const { stdout } = await run("--script", "test/bench/main.ts", "--json", "x");
    expect(stdout).toBe(`node ${FLAG} test/bench/main.ts --json x\n`);
  });

  test("runs the tests once a nats-server is found, and not without", async () => {
    await placeModules(INSTALLED, 'echo "node $*"');
    const passing = await run("--test", "libs/std");
    expect(passing).toMatchObject({ code: 0 });
    expect(passing.stdout.split("\n")).toEqual([
      `node ${FLAG} services/ctl/src/up/prepare.ts`,
      `node ${FLAG} node_modules/vitest/vitest.mjs run ${PROJECTS} libs/std`,
      "",
    ]);
    await placeModules(INSTALLED, 'echo "node $*"; exit 1');
    const failing = await run("--test");
    expect(failing.code).toBe(1);
    expect(failing.stdout).not.toContain("vitest");
  });

  test("passes a signal on and ends as the command does", async () => {
    await placeModules(
      INSTALLED,
      "trap 'echo drained; exit 0' TERM; echo ready; while :; do sleep 0.01; done",
    );
    const child = start(["up"]);
    let stdout = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      if (stdout === "ready\n") child.kill("SIGTERM");
    });
    expect(await once(child, "close")).toEqual([0, null]);
    expect(stdout).toBe("ready\ndrained\n");
  });

  test("says with its exit code which signal ended the command", async () => {
    await placeModules(INSTALLED, "kill -KILL $$");
    expect(await run("up")).toMatchObject({ code: 128 + 9 });
  });
});

describe("a checkout with packages missing", () => {
  const outdated = { ...INSTALLED, "node_modules/node": { version: "22.0.0" } };
  const { "node_modules/node": _node, ...incomplete } = INSTALLED;

  test.each([
    ["nothing installed", undefined],
    ["an older version of one", outdated],
    ["one not there at all", incomplete],
  ])("installs them without the CUDA download, then goes on: %s", async (_case, record) => {
    if (record !== undefined) await placeModules(record);
    await placeNpm(0);
    const { code, stdout, stderr } = await run("status");
    expect(await npmCalls()).toBe("ci --no-audit --no-fund skip\n");
    expect(stderr).toMatch(/^Installing the packages.*\nInstalled in \d+ s\.\n$/s);
    expect({ code, stdout }).toEqual({
      code: 7,
      stdout: `node ${FLAG} services/ctl/src/main.ts status\n`,
    });
  });

  test("says that it was interrupted, and not that npm failed", async () => {
    const running = join(root, "npm-runs");
    await script(
      join(root, "bin/npm"),
      `trap 'exit 1' TERM; touch ${running}; while :; do sleep 0.01; done`,
    );
    const child = start(["up"]);
    let stderr = "";
    child.stderr?.setEncoding("utf8").on("data", (words: string) => (stderr += words));
    const ended = once(child, "close");
    await vi.waitFor(() => access(running), { timeout: START_MS_MAX });
    child.kill("SIGTERM");
    expect(await ended).toEqual([128 + 15, null]);
    expect(stderr).toMatch(/\nInterrupted; what is missing is installed at the next start\.\n$/);
  });

  test("shows npm's words and a remedy when that fails", async () => {
    await placeNpm(3);
    const { code, stdout, stderr } = await run("up");
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("npm says a word");
    expect(stderr).toContain("npm ci failed (3)");
    expect(stderr).toContain("ONNXRUNTIME_NODE_INSTALL=skip npm ci");
  });

  test("says so when there is no npm", async () => {
    searchPath = join(root, "bin");
    const { code, stderr } = await run("up");
    expect(code).toBe(1);
    expect(stderr).toContain("spawn npm ENOENT");
    expect(stderr).toContain("It needs npm on PATH");
  });
});
