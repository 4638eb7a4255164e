/** The registry of models: what every scheduler comes to know of them, and new versions. */

import type { ModelRecord, ModelSpec } from "@millrace/protocol";
import { present } from "@millrace/std";
import type { ModelPlan } from "./scenario.ts";

const VERSIONS_KEPT = 3;

export class ModelRegistry {
  readonly #records = new Map<string, ModelRecord>();
  readonly #registered: (spec: ModelSpec) => void;
  #files = 0;

  /** @param registered is told of every version that comes, with the digest of its bytes. */
  constructor(models: readonly ModelPlan[], registered: (spec: ModelSpec) => void) {
    this.#registered = registered;
    for (const plan of models) this.add(plan);
  }

  /** A model as it is pushed first; one that was there is gone, with all its versions. */
  add(plan: ModelPlan): void {
    const versions = { "1": this.#specOf(plan, 1) };
    this.#records.set(plan.name, { name: plan.name, active: 1, loaded: true, versions });
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
      [...kept, this.#specOf(plan, active)].map((spec) => [String(spec.version), spec]),
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

  /** No two files are alike. */
  #specOf(plan: ModelPlan, version: number): ModelSpec {
    const spec = specOf(plan, version, String(++this.#files).padStart(64, "0"));
    this.#registered(spec);
    return spec;
  }
}

function specOf(
  { name, fileBytes, maxBatch, lengthMax }: ModelPlan,
  version: number,
  digest: string,
): ModelSpec {
  const padding = { axis: 1, inputs: ["x"], value: 0, lengthMax, outputs: [] };
  return {
    name,
    version,
    digest,
    bytes: fileBytes,
    inputs: [{ name: "x", datatype: "FP32", shape: [-1, -1] }],
    outputs: [{ name: "y", datatype: "FP32", shape: [-1, 8] }],
    maxBatch,
    ...(lengthMax > 0 ? { padding } : {}),
    provenance: { source: "simulated", upstreamName: name, licence: "CC0-1.0" },
    createdAt: "2026-01-01T00:00:00Z",
  };
}
