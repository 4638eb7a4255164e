/** Where faults are ordered: each order is checked against the bounds, one after the other. */

import {
  type ActiveFault,
  chooseTargets,
  type FaultMember,
  type FaultWorld,
} from "@millrace/faults";
import {
  type Blast,
  type Fault,
  fault,
  type FaultEnd,
  type FaultRecord,
  type FaultSpec,
} from "@millrace/protocol";
import { fail, type Result } from "@millrace/std";
import type { Journal } from "./journal.ts";

export interface DeskOptions {
  readonly world: FaultWorld;
  readonly journal: Journal;
  readonly enabled: boolean;
  /** Called with every fault that is over. */
  readonly onEnd?: (record: FaultRecord, end: FaultEnd) => void;
}

const DISABLED = fault("FAULT_DISABLED", "start the chaos-monkey with MILLRACE_CHAOS=1");

export class Desk {
  readonly #options: DeskOptions;
  readonly #active = new Map<string, ActiveFault>();
  /** One order after the other: the bounds hold for all of them together. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: DeskOptions) {
    this.#options = options;
  }

  get running(): readonly FaultRecord[] {
    return [...this.#active.values()].map(recordOf);
  }

  /** Who would be hit; nothing is touched. */
  async plan(
    spec: FaultSpec,
    blast: Blast,
    seed: number,
  ): Promise<Result<readonly FaultMember[], Fault>> {
    const { world } = this.#options;
    const missing = await world.missing(spec.kind);
    if (missing !== undefined) return fail(fault("FAULT_UNAVAILABLE", missing));
    const members = await world.members();
    return chooseTargets(spec, { members, running: this.running, blast, seed });
  }

  inject(spec: FaultSpec, blast: Blast, seed: number): Promise<Result<ActiveFault, Fault>> {
    const ordered = this.#last.then(() => this.#inject(spec, blast, seed));
    this.#last = ordered.catch(() => undefined);
    return ordered;
  }

  /** FAULT_UNKNOWN where none of this id is under way. */
  async heal(id: string): Promise<Result<readonly string[], Fault>> {
    const active = this.#active.get(id);
    if (active === undefined) return fail(fault("FAULT_UNKNOWN", `no fault ${id} is under way`));
    await active.heal();
    return { ok: true, value: [id] };
  }

  /** Those, too, that are being injected: they could begin when all is thought to be healed. */
  healAll(): Promise<readonly string[]> {
    const healed = this.#last.then(async () => {
      const all = [...this.#active.values()];
      await Promise.all(all.map((active) => active.heal()));
      return all.map(({ id }) => id);
    });
    this.#last = healed.catch(() => undefined);
    return healed;
  }

  async #inject(spec: FaultSpec, blast: Blast, seed: number): Promise<Result<ActiveFault, Fault>> {
    const { world, journal, enabled } = this.#options;
    const planned = enabled ? await this.plan(spec, blast, seed) : fail(DISABLED);
    const injected = planned.ok
      ? await world.inject(
          spec,
          planned.value.map(({ id }) => id),
        )
      : planned;
    if (!injected.ok) {
      const { code, message } = injected.error;
      journal.write({ event: "refused", detail: `${spec.kind}: ${code}: ${message}` });
      return injected;
    }
    this.#follow(injected.value);
    return injected;
  }

  #follow(active: ActiveFault): void {
    const { journal, onEnd } = this.#options;
    const record = recordOf(active);
    this.#active.set(active.id, active);
    journal.write({ event: "injected", fault: record });
    void active.ended.then(async (end) => {
      // What cannot be counted any more is not known.
      const acted = await active.acted?.().catch(() => undefined);
      this.#active.delete(active.id);
      const counted = acted === undefined ? {} : { acted };
      journal.write({ event: "ended", fault: record, end, ...counted });
      onEnd?.(record, end);
    });
  }
}

export const recordOf = ({
  id,
  kind,
  targets,
  injectedAtUs,
  endsAtUs,
}: ActiveFault): FaultRecord => ({
  id,
  kind,
  targets: [...targets],
  injectedAtUs,
  endsAtUs,
});
