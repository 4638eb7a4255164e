/** Every file follows the house style, and every rule fails on a violation planted for it. */

import { describe, expect, test } from "vitest";
import { listFiles, readText } from "../support/workspace.ts";
import { checkTopLevel, RULES } from "./rules.ts";

const BINARY = /\.(?:onnx|png|jpg|gif|ico|bin|gz|woff2)$/;
const paths = listFiles();
const files = paths
  .filter((path) => !BINARY.test(path) && path !== "package-lock.json")
  .map(readText);

describe("the repository", () => {
  test("is not empty to these rules", () => {
    expect(files.length).toBeGreaterThan(50);
  });

  test.each(Object.entries(RULES))("holds %s", (_, rule) => {
    expect(files.flatMap((file) => rule(file))).toEqual([]);
  });

  test("has at its top only what belongs there", () => {
    expect(checkTopLevel(paths)).toEqual([]);
  });
});

const SOUND = "/** Decides nothing. */\n\nexport const one = 1;\n";

describe("a rule", () => {
  test.each(Object.entries(RULES))("%s accepts a sound file", (_, rule) => {
    expect(rule({ path: "libs/std/src/one.ts", text: SOUND })).toEqual([]);
    expect(rule({ path: "docs/one.md", text: "# One\n\nPlain words.\n" })).toEqual([]);
    expect(rule({ path: "x.sh", text: "#!/usr/bin/env bash\n# Does nothing.\n" })).toEqual([]);
  });

  test.each([
    ["checkLength", "a.ts", SOUND + "//\n".repeat(400)],
    ["checkLength", "a.mjs", "//\n".repeat(401)],
    ["checkColumns", "a.ts", `// ${"x".repeat(98)}\n`],
    ["checkHeader", "a.ts", "export const one = 1;\n"],
    ["checkHeader", "a.ts", "// A line comment is no header.\nexport const one = 1;\n"],
    ["checkHeader", "a.mjs", "#!/usr/bin/env node\nconsole.log(1);\n"],
    ["checkHeader", "run", "#!/usr/bin/env bash\nset -e\n"],
    ["checkNames", "libs/std/src/utils.ts", SOUND],
    ["checkNames", "libs/helpers/src/one.ts", SOUND],
    ["checkNames", "a.ts", "export class QueueManager {}"],
    ["checkNames", "a.ts", "export interface QueueImpl { readonly one: 1 }"],
    ["checkNames", "a.ts", "const testHelper = 1;"],
    ["checkNames", "a.ts", "function stringUtils() {}"],
    ["checkProse", "README.md", "A blazing fast cluster.\n"],
    ["checkProse", "docs/x.md", "State-of-the-art batching.\n"],
    ["checkPictures", "README.md", "Ready \u{1F680}\n"],
    ["checkPictures", "a.ts", 'export const done = "\u2705";\n'],
    ["checkPending", "a.ts", "// TODO: later\n"],
    ["checkPending", "deploy/x.yaml", "# FIXME\n"],
    ["checkMaking", "README.md", "Written by Claude.\n"],
    ["checkMaking", "a.ts", "// Fixes issue #12\n"],
    ["checkMaking", "a.ts", 'const path = "/work/shared/lab";\n'],
  ] as const)("%s refuses %s with %j", (name, path, text) => {
    expect(RULES[name]({ path, text })).not.toEqual([]);
  });

  test("checkColumns lets a text run on, and nothing that the formatter could break", () => {
    const long = "word ".repeat(25);
    const columns = (text: string): string[] => RULES.checkColumns({ path: "a.ts", text });
    expect(columns(`const text = "${long}";`)).toEqual([]);
    expect(columns(`test("${long}", () => {});`)).toEqual([]);
    expect(columns(`// ${long}\nconst text = "";`)).toHaveLength(1);
    expect(columns(`const text = "" /* ${long} */;`)).toHaveLength(1);
  });

  test("checkNames lets words be that only contain a banned one", () => {
    const text = "const implied = 1; const imply = implied; export const utilisation = imply;";
    expect(RULES.checkNames({ path: "libs/std/src/utilities-free.ts", text })).toEqual([]);
  });

  test("checkTopLevel refuses a stray file and a stray folder", () => {
    expect(checkTopLevel(["notes.txt", "scripts/x.sh", "libs/std/x.ts", ".ci/run"])).toHaveLength(
      2,
    );
  });
});
