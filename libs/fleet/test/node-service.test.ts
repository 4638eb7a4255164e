/** Services run under the same flags as processes and in containers. */

import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { NODE_FLAGS } from "@millrace/fleet";

const DOCKERFILE = new URL("../../../deploy/Dockerfile", import.meta.url);

test("containers start Node with the flags of local processes", async () => {
  const text = (await readFile(DOCKERFILE, "utf8")).replaceAll("\\\n", " ");
  const entries = [...text.matchAll(/^ENTRYPOINT (\[.*\])$/gm)].map(([, list = ""]) =>
    JSON.parse(list),
  );
  expect(entries).toEqual([
    ["node", ...NODE_FLAGS],
    ["node", ...NODE_FLAGS],
  ]);
});
