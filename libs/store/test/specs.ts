/** Model descriptions for the tests. */

import type { ModelRecord } from "@millrace/protocol";
import { present } from "@millrace/std";
import { addVersion, type ModelDraft } from "../src/index.ts";

export const draft = (name: string, change: Partial<ModelDraft> = {}): ModelDraft => ({
  name,
  digest: "0".repeat(64),
  bytes: 10,
  inputs: [{ name: "x", datatype: "FP32", shape: [-1, 4] }],
  outputs: [{ name: "y", datatype: "FP32", shape: [-1, 2] }],
  maxBatch: 8,
  provenance: { source: "a script", upstreamName: name, licence: "Apache-2.0" },
  createdAt: "2026-01-01T00:00:00.000Z",
  ...change,
});

export const digestNumber = (number: number): string => String(number).padStart(64, "0");

/** A record with versions 1 to `versions`, of which the first is active. */
export function record(name: string, versions = 1): ModelRecord {
  let made: ModelRecord | undefined;
  for (let version = 1; version <= versions; version++) {
    const added = addVersion(made, draft(name, { digest: digestNumber(version) }));
    made = added.ok ? added.value : made;
  }
  return present(made, "the record");
}
