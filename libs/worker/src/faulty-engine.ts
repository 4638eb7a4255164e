/** An engine whose device is lost, or out of memory, on purpose: for devices that are emulated. */

import type { Engine, EngineItem, EngineResult, Loaded, NotLoaded, Turn } from "@millrace/engine";
import { type Device, fault, type ModelSpec } from "@millrace/protocol";

export interface OutOfMemory {
  /** Only runs of more rows fail, with this probability each. */
  readonly rowsAbove: number;
  readonly probability: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** As a context that CUDA has lost says it; the process must end. */
const LOST =
  "CUDA failure 700: an illegal memory access was encountered (a fault injected on purpose)";
const NO_MEMORY = "out of device memory (a fault injected on purpose)";

export class FaultyEngine implements Engine {
  readonly #engine: Engine;
  #lost: "no" | "at the next run" | "yes" = "no";
  #outOfMemory: OutOfMemory | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** The next run finds it lost, unless it is restored before. */
  lose(): void {
    if (this.#lost === "no") this.#lost = "at the next run";
  }

  /** A context that was lost stays so, as CUDA's does. */
  restore(): void {
    if (this.#lost === "at the next run") this.#lost = "no";
  }

  /** Undefined ends it. */
  set outOfMemory(how: OutOfMemory | undefined) {
    this.#outOfMemory = how;
  }

  get passedOver(): Engine["passedOver"] {
    return this.#engine.passedOver;
  }

  get progress(): number {
    return this.#engine.progress;
  }

  get poisoned(): string | undefined {
    return this.#lost === "yes" ? LOST : this.#engine.poisoned;
  }

  get worn(): string | undefined {
    return this.#engine.worn;
  }

  readDevice(): Promise<Device> {
    return this.#engine.readDevice();
  }

  load(spec: ModelSpec, file: Uint8Array): Promise<Loaded | NotLoaded> {
    return this.#engine.load(spec, file);
  }

  unload(ref: string): Promise<void> {
    return this.#engine.unload(ref);
  }

  async run(spec: ModelSpec, items: readonly EngineItem[], turn?: Turn): Promise<EngineResult> {
    if (this.#lost !== "no") {
      this.#lost = "yes";
      return { ok: false, fault: fault("EXECUTION_FAILED", LOST), fatal: true, computeUs: 0 };
    }
    const rows = items.reduce((sum, item) => sum + item.rows, 0);
    const none = this.#outOfMemory;
    if (none !== undefined && rows > none.rowsAbove && none.random() < none.probability) {
      return { ok: false, fault: fault("OUT_OF_MEMORY", NO_MEMORY), fatal: false, computeUs: 0 };
    }
    return this.#engine.run(spec, items, turn);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine[Symbol.asyncDispose]();
  }
}
