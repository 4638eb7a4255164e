/** The registry of models: what every scheduler comes to know of them, and new versions. */

import type { ModelRecord, ModelSpec } from "@millrace/protocol";
import { present } from "@millrace/std";
import type { ModelPlan } from "./scenario.ts";

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

  /** The next version is the one that answers from now on. */
  replace(plan: ModelPlan): ModelRecord {
    const before = this.record(plan.name);
    const active = before.active + 1;
    const versions = { ...before.versions, [String(active)]: specOf(plan, active) };
    const record = { ...before, active, previous: before.active, versions };
    this.#records.set(plan.name, record);
    return record;
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
