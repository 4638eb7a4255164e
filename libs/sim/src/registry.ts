/** The registry of models: what every scheduler comes to know of them, and new versions. */

import type { ModelRecord, ModelSpec } from "@millrace/protocol";
import { present } from "@millrace/std";
import type { ModelPlan } from "./scenario.ts";

const VERSIONS_KEPT = 3;

export class ModelRegistry {
  readonly #records = new Map<string, ModelRecord>();

  constructor(models: readonly ModelPlan[]) {
    for (const plan of models) {
      const versions = { "1": specOf(plan, 1) };
      this.#records.set(plan.name, { name: plan.name, active: 1, loaded: true, versions });
    }
  }

  get records(): ReadonlyMap<string, ModelRecord> {
    return this.#records;
  }

  record(name: string): ModelRecord {
    return present(this.#records.get(name), name);
  }

  /** The next version is the one that answers from now on; the oldest of several is removed. */
  replace(plan: ModelPlan): void {
    const before = this.record(plan.name);
    const latest = before.latest ?? before.active;
    const active = latest + 1;
    const kept = Object.values(before.versions).filter(
      ({ version }) => version > active - VERSIONS_KEPT || version === before.active,
    );
    const versions = Object.fromEntries(
      [...kept, specOf(plan, active)].map((spec) => [String(spec.version), spec]),
    );
    const previous = before.active;
    this.#records.set(plan.name, { ...before, active, latest: active, previous, versions });
  }

  /** The version before answers again; nothing where there is none. */
  rollback({ name }: ModelPlan): void {
    const before = this.record(name);
    if (before.previous === undefined) return;
    const { previous, ...rest } = before;
    this.#records.set(name, { ...rest, active: previous });
  }
}

function specOf({ name, fileBytes, maxBatch, lengthMax }: ModelPlan, version: number): ModelSpec {
  const padding = { axis: 1, inputs: ["x"], value: 0, lengthMax, outputs: [] };
  return {
    name,
    version,
    digest: "0".repeat(64),
    bytes: fileBytes,
    inputs: [{ name: "x", datatype: "FP32", shape: [-1, -1] }],
    outputs: [{ name: "y", datatype: "FP32", shape: [-1, 8] }],
    maxBatch,
    ...(lengthMax > 0 ? { padding } : {}),
    provenance: { source: "simulated", upstreamName: name, licence: "CC0-1.0" },
    createdAt: "2026-01-01T00:00:00Z",
  };
}
