/**
 * The linter's configuration refuses what the house style bans: each ban on a file planted for it.
 */

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ROOT } from "../support/workspace.ts";

const HEAD = "/** Planted. */\n\n";
const LONG = Array.from({ length: 71 }, (_, at) => `  console.info(${at});`).join("\n");

/** Where a file stands, what is in it, and the rule that must refuse it. */
const PLANTED: readonly (readonly [string, string, string])[] = [
  ["libs/scheduling/src/clock.ts", "export const at = () => Date.now();", "no-restricted-globals"],
  ["libs/admission/src/out.ts", "console.log(1);", "no-restricted-globals"],
  ["libs/batching/src/env.ts", "export const e = process.env;", "no-restricted-globals"],
  ["libs/std/src/wait.ts", "setTimeout(() => {}, 1);", "no-restricted-globals"],
  ["libs/sim/src/now.ts", "export const at = performance.now();", "no-restricted-globals"],
  ["libs/placement/src/dice.ts", "export const d = Math.random();", "no-restricted-properties"],
  [
    "libs/executing/src/file.ts",
    'import { readFileSync } from "node:fs";\nreadFileSync("x");',
    "no-restricted-imports",
  ],
  ["libs/std/src/npm.ts", 'import * as v from "valibot";\nv.string();', "no-restricted-imports"],
  ["libs/protocol/src/npm.ts", 'import pino from "pino";\npino();', "no-restricted-imports"],
  ["libs/bus/src/float.ts", "const f = async () => {};\nf();", "no-floating-promises"],
  [
    "libs/bus/src/switch.ts",
    'export function f(x: "a" | "b"): void {\n  switch (x) {\n    case "a":\n      break;\n  }\n}',
    "switch-exhaustiveness-check",
  ],
  ["libs/bus/src/default.ts", "export default 1;", "no-default-export"],
  ["libs/bus/src/one.ts", 'export * from "./two.ts";\nexport const one = 1;', "no-cycle"],
  ["libs/bus/src/two.ts", 'export * from "./one.ts";\nexport const two = 2;', "no-cycle"],
  ["libs/bus/src/any.ts", "export const f = (x: any): void => void x;", "no-explicit-any"],
  ["libs/bus/src/long.ts", `export function f(): void {\n${LONG}\n}`, "max-lines-per-function"],
];

const folder = mkdtempSync(join(tmpdir(), "millrace-lint-"));
let found: readonly { readonly filename: string; readonly code: string }[] = [];

beforeAll(() => {
  for (const name of [".oxlintrc.json", "tsconfig.json"]) cpSync(ROOT + name, join(folder, name));
  // The linter looks for its type checker from where it runs.
  symlinkSync(`${ROOT}node_modules`, join(folder, "node_modules"));
  for (const [path, text] of PLANTED) {
    mkdirSync(join(folder, dirname(path)), { recursive: true });
    writeFileSync(join(folder, path), `${HEAD}${text}\n`);
  }
  const run = spawnSync(`${ROOT}node_modules/.bin/oxlint`, ["-f", "json", "libs"], {
    cwd: folder,
    encoding: "utf8",
  });
  found = (JSON.parse(run.stdout) as { diagnostics: typeof found }).diagnostics;
});

afterAll(() => rmSync(folder, { recursive: true }));

test.each(PLANTED)("%s with %j is refused by %s", (path, _, rule) => {
  const codes = found.filter((each) => each.filename.endsWith(path)).map((each) => each.code);
  expect(codes.join()).toContain(`(${rule})`);
});
