/** The layers hold in the real workspace, and every rule fails on a violation planted for it. */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseSource } from "../support/source.ts";
import { packageFrom, layerOf, readWorkspace, ROOT, type Workspace } from "../support/workspace.ts";
import { IMPURE_GLOBALS, RULES } from "./rules.ts";

const workspace = readWorkspace();

describe("the workspace", () => {
  test("has the packages that it should have", () => {
    expect(workspace.packages.length).toBeGreaterThan(20);
    expect(workspace.packages.map((pack) => pack.name)).toContain("@millrace/std");
  });

  test.each(Object.entries(RULES))("holds %s", (_, rule) => {
    expect(rule(workspace)).toEqual([]);
  });

  test("is linted as pure exactly where its tags say so", () => {
    const config = readFileSync(`${ROOT}.oxlintrc.json`, "utf8");
    const linted = new Set(
      [...config.matchAll(/"libs\/([a-z-]+)\/src\/\*\*"/g)].map((hit) => hit[1]),
    );
    const pure = workspace.packages
      .filter((pack) => ["base", "core", "sim"].includes(layerOf(pack) ?? ""))
      .map((pack) => pack.folder.slice("libs/".length));
    expect(linted).toEqual(new Set(pure));
  });

  test("is the graph that Nx sees", () => {
    const output = execFileSync("node_modules/.bin/nx", ["show", "projects", "--json"], {
      cwd: ROOT,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, NX_NO_CLOUD: "true", CI: "true" },
    });
    const projects = JSON.parse(output) as string[];
    expect(new Set(projects.filter((name) => name.startsWith("@millrace/")))).toEqual(
      new Set(workspace.packages.map((pack) => pack.name)),
    );
  });
});

/** A sound workspace of four packages, in which one file or manifest field is then replaced. */
function planted(
  name: "std" | "deciding" | "wire" | "front",
  change: { readonly manifest?: object; readonly src?: string; readonly test?: string },
): Workspace {
  const sound = {
    std: { layer: "base", folder: "libs/std", dependencies: {}, src: "export const one = 1;" },
    deciding: {
      layer: "core",
      folder: "libs/deciding",
      dependencies: { "@millrace/std": "*" },
      src: 'import { one } from "@millrace/std"; export const two = one + one;',
    },
    wire: {
      layer: "adapter",
      folder: "libs/wire",
      dependencies: { "@millrace/std": "*" },
      src: 'import { connect } from "node:net"; import { one } from "@millrace/std"; connect(one);',
    },
    front: {
      layer: "service",
      folder: "services/front",
      dependencies: { "@millrace/deciding": "*", "@millrace/wire": "*" },
      src: 'import "@millrace/deciding"; export * from "@millrace/wire";',
    },
  };
  const packages = Object.entries(sound).map(([key, { layer, folder, dependencies, src }]) => {
    const changed = key === name ? change : {};
    const manifest = {
      name: `@millrace/${key}`,
      exports: "./src/index.ts",
      dependencies,
      nx: { tags: [`layer:${layer}`] },
      ...changed.manifest,
    };
    return packageFrom(folder, manifest, [
      { path: `${folder}/src/index.ts`, text: changed.src ?? src },
      { path: `${folder}/test/index.test.ts`, text: changed.test ?? "export {};" },
    ]);
  });
  return { packages, rootDevDependencies: { vitest: "5.1.1" }, tests: [] };
}

describe("a rule", () => {
  test.each(Object.entries(RULES))("%s accepts a sound workspace", (_, rule) => {
    expect(rule(planted("std", {}))).toEqual([]);
  });

  test.each([
    [{ nx: { tags: [] } }, "one tag"],
    [{ nx: { tags: ["layer:base", "layer:core"] } }, "one tag"],
    [{ nx: { tags: ["layer:basis"] } }, "one tag"],
    [{ nx: { tags: ["layer:service"] } }, "a service in libs/std"],
    [{ name: "@millrace/other" }, "not @millrace/std"],
  ])("checkTags refuses %j", (manifest, message) => {
    expect(RULES.checkTags(planted("std", { manifest })).join()).toContain(message);
  });

  test.each([
    ["std", 'import "@millrace/deciding";', "a base imports @millrace/deciding, which is a core"],
    ["deciding", 'export * from "@millrace/wire";', "a core imports @millrace/wire"],
    ["deciding", 'type W = import("@millrace/wire").W;', "a core imports @millrace/wire"],
    [
      "wire",
      'import { two } from "@millrace/deciding"; two;',
      "adapter imports @millrace/deciding",
    ],
    ["wire", 'await import("@millrace/front");', "adapter imports @millrace/front"],
  ] as const)("checkOrder refuses %s with %s", (name, src, message) => {
    const found = RULES.checkOrder(planted(name, { src }))
      .join()
      .replace("a adapter", "an adapter");
    expect(found).toContain(message);
  });

  test("checkOrder holds for the tests of a package too", () => {
    const change = { test: 'import { connect } from "@millrace/wire"; connect();' };
    expect(RULES.checkOrder(planted("deciding", change))).toHaveLength(1);
  });

  test("checkOrder keeps services apart", () => {
    const sound = planted("std", {});
    const other = packageFrom(
      "services/back",
      { name: "@millrace/back", nx: { tags: ["layer:service"] } },
      [{ path: "services/back/src/index.ts", text: 'import "@millrace/front";' }],
    );
    const both = { ...sound, packages: [...sound.packages, other] };
    expect(RULES.checkOrder(both)).toHaveLength(1);
  });

  test("checkCycles names the cycle", () => {
    const src = 'import "@millrace/front";';
    expect(RULES.checkCycles(planted("wire", { src })).join()).toContain(
      "@millrace/wire -> @millrace/front -> @millrace/wire",
    );
  });

  test.each(IMPURE_GLOBALS)("checkPurity refuses %s in a core", (name) => {
    const src = `export const read = () => ${name === "Math.random" ? "Math.random()" : name};`;
    expect(RULES.checkPurity(planted("deciding", { src }))).toHaveLength(1);
  });

  test.each([
    'import { readFileSync } from "node:fs"; readFileSync("x");',
    'import fs from "fs"; fs;',
    'import { chunk } from "lodash"; chunk;',
    "export const later = async () => 1;",
    "export async function* later() { yield 1; }",
  ])("checkPurity refuses %s in a base library", (src) => {
    expect(RULES.checkPurity(planted("std", { src }))).toHaveLength(1);
  });

  test("checkPurity does not mistake members and own names for globals", () => {
    const src =
      "interface Worker { readonly Date: number }" +
      "const process = (worker: Worker) => worker.Date;" +
      "export const fetched = { console: process({ Date: Math.floor(1.5) }) };";
    expect(RULES.checkPurity(planted("deciding", { src }))).toEqual([]);
  });

  test.each([
    [{ src: 'import "pino"; import "@millrace/std";' }, "imports pino, not in dependencies"],
    [{ src: "export {};" }, "dependencies has unused @millrace/std"],
    [{ manifest: { dependencies: { "@millrace/std": "0.1.0" } } }, '"*" or exact wanted'],
    [{ manifest: { dependencies: {} } }, "imports @millrace/std, not in dependencies"],
    [
      { test: 'import "fast-check"; import "vitest";' },
      "imports fast-check, not in devDependencies",
    ],
    [{ manifest: { devDependencies: { tape: "1.0.0" } } }, "devDependencies has unused tape"],
    [
      { manifest: { dependencies: { "@millrace/std": "*", pino: "^10.0.0" } } },
      'pino at ^10.0.0, "*" or exact wanted',
    ],
  ])("checkDeclared refuses %j", (change, message) => {
    expect(RULES.checkDeclared(planted("deciding", change)).join()).toContain(message);
  });

  test.each([
    [{ manifest: { exports: { ".": "./src/index.ts", "./deep": "./src/deep.ts" } } }, "exports"],
    [{ src: 'import "@millrace/std/src/heap.ts";' }, "past the package's entry"],
    [{ src: 'import "../../std/src/index.ts";' }, "leaves the package"],
  ])("checkEntries refuses %j", (change, message) => {
    expect(RULES.checkEntries(planted("deciding", change)).join()).toContain(message);
  });

  test.each([
    ['import "@millrace/std/src/heap.ts";', 1],
    ['import "../../libs/std/src/index.ts";', 1],
    ['import "lodash";', 1],
    ['import "@millrace/std"; import "vitest/config"; import "../support/x.ts"; import "fs";', 0],
  ])("checkTests counts in %s %d violations", (text, count) => {
    const tests = [parseSource({ path: "test/e2e/one.test.ts", text })];
    expect(RULES.checkTests({ ...planted("std", {}), tests })).toHaveLength(count);
  });
});
