/** Holds the examples of docs/fleet.md to what is read and written. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { present } from "@millrace/std";
import { expect, test } from "vitest";
import { type FileDriver, HookFleet, parseFleetFile } from "../src/index.ts";

const page = readFileSync(
  fileURLToPath(new URL("../../../docs/fleet.md", import.meta.url)),
  "utf8",
);
const blocks = (language: string): readonly string[] =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``, "g"))].map(
    ([, text = ""]) => text,
  );

test("the fleet files are read as they stand, one of each driver", () => {
  const [kubernetes = "", docker = "", command = ""] = blocks("json");
  for (const [driver, source] of Object.entries({ kubernetes, docker, command })) {
    const file = parseFleetFile(driver as FileDriver, source);
    if (!file.ok) throw new Error(`${source}${file.error.join("; ")}`);
    expect(file.value.driver).toBe(driver);
  }
});

test("the hook's documents are what a command gets and what is taken from it", async () => {
  const [, , , , requests = "", answers = ""] = blocks("json");
  const [listed, done, refused] = answers.trim().split("\n");
  const pool = { kind: "gpu", zone: "zone-a", lifecycle: "spot" } as const;
  /** Gets what is on the page and nothing else, and gives the answer. */
  const hook = (request: string | undefined, answer: string | undefined): HookFleet => {
    const script = `read -r got; [ "$got" = "$WANTED" ] && printf '%s' "$ANSWER"`;
    const wanted = JSON.stringify(JSON.parse(present(request, "a request")));
    const env = { PATH: process.env["PATH"], WANTED: wanted, ANSWER: answer };
    const args = ["-c", script];
    return new HookFleet({ command: "/bin/sh", args, pools: [pool], env, epoch: () => 41 });
  };
  const [list, scale] = requests.trim().split("\n");
  const view = await hook(list, listed).list();
  expect(view).toMatchObject({
    ok: true,
    value: { members: [{ id: "gpu-7" }], pools: [{ ...pool, expected: 3, ready: 1 }] },
  });
  expect(await hook(scale, done).scale(pool, 3, ["gpu-7"])).toEqual({ ok: true });
  expect(await hook(scale, refused).scale(pool, 3, ["gpu-7"])).toMatchObject({
    error: { code: "REFUSED", retry: true },
  });
});
