/**
 * What each kind of worker was measured to do of a model, by version. A version may be another
 * variant of the model, INT8 in place of FP32 say, with a pace and a size of its own: it is planned
 * with what was measured of it, and with another version's figures only on a kind that has not held
 * it yet. During a rollout two versions lie side by side; the one that is asked for counts.
 */

import type { Capacity } from "@millrace/planning";
import { splitRef } from "@millrace/protocol";

/** I6: more is not kept of models that nobody asks for any more, nor of a model's versions. */
const MODELS_MAX = 10_000;
const VERSIONS_MAX = 8;

type ByVersion = Map<number, number>;

export class Measured {
  /** Rows a second by kind and model, kept when the last worker of a kind is gone. */
  readonly #rates = new Map<string, Map<string, ByVersion>>();
  /** Of one resident copy. */
  readonly #bytes = new Map<string, ByVersion>();
  /** The version that was asked for last. */
  readonly #served = new Map<string, number>();

  resident(ref: string, bytes: number): void {
    note(this.#bytes, ref, bytes);
  }

  ran(kind: string, ref: string, rowsPerSecond: number): void {
    let models = this.#rates.get(kind);
    if (models === undefined) {
      models = new Map();
      this.#rates.set(kind, models);
    }
    note(models, ref, rowsPerSecond);
  }

  asked(ref: string): void {
    const { name, version } = splitRef(ref);
    if (this.#served.size < MODELS_MAX || this.#served.has(name)) this.#served.set(name, version);
  }

  /** Which of a model's capacities counts: its version, where one was asked for. */
  variant(model: string): string {
    const version = this.#served.get(model);
    return version === undefined ? "newest" : `version ${version}`;
  }

  /** Rows a second; undefined where the kind has held no version of the model. */
  rate(kind: string, model: string): number | undefined {
    return this.#current(this.#rates.get(kind), model);
  }

  bytes(model: string): number {
    return this.#current(this.#bytes, model) ?? 0;
  }

  capacities(): Capacity[] {
    return [...this.#rates].flatMap(([kind, models]) =>
      [...models.keys()].map((model) => ({
        model,
        variant: this.variant(model),
        kind,
        requestsPerSecond: this.rate(kind, model) ?? 0,
      })),
    );
  }

  /** The served version's figure, else the newest there is. */
  #current(models: ReadonlyMap<string, ByVersion> | undefined, model: string): number | undefined {
    const versions = models?.get(model);
    if (versions === undefined) return undefined;
    const served = this.#served.get(model);
    const own = served === undefined ? undefined : versions.get(served);
    return own ?? versions.get(Math.max(...versions.keys()));
  }
}

function note(models: Map<string, ByVersion>, ref: string, figure: number): void {
  const { name, version } = splitRef(ref);
  let versions = models.get(name);
  if (versions === undefined) {
    if (models.size >= MODELS_MAX) return;
    versions = new Map();
    models.set(name, versions);
  }
  versions.set(version, figure);
  if (versions.size > VERSIONS_MAX) versions.delete(Math.min(...versions.keys()));
}
