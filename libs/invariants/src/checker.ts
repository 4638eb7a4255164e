/** A checker watches facts for one invariant of ARCHITECTURE.md, and says where it did not hold. */

import type { Fact, FactType } from "./facts.ts";

export const INVARIANTS = ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10"] as const;
export type InvariantId = (typeof INVARIANTS)[number];

export interface Violation {
  readonly invariant: InvariantId;
  readonly atUs: number;
  /** A sentence. */
  readonly message: string;
}

export type Report = (atUs: number, message: string) => void;

/** How a checker handles the facts that it watches; the others do not concern it. */
export type Handlers = {
  readonly [T in FactType]?: (fact: Extract<Fact, { readonly type: T }>, atUs: number) => void;
};

export interface Checker {
  readonly invariant: InvariantId;
  readonly handlers: Handlers;
  /** Everything has been observed: what should have come by `nowUs` will not come any more. */
  readonly finish?: (nowUs: number) => void;
}

/** Reports kept: one defect can break an invariant for every request after it. */
const VIOLATIONS_MAX = 100;

/** All checkers of one run. */
export class Observer {
  readonly #byType = new Map<FactType, ((fact: Fact, atUs: number) => void)[]>();
  readonly #checkers: readonly Checker[];
  readonly violations: Violation[] = [];
  /** Violations beyond those that are kept. */
  unreported = 0;

  constructor(make: readonly ((report: Report) => Checker)[]) {
    this.#checkers = make.map((makeChecker) => {
      const checker: Checker = makeChecker((atUs, message) => {
        if (this.violations.length >= VIOLATIONS_MAX) this.unreported++;
        else this.violations.push({ invariant: checker.invariant, atUs, message });
      });
      return checker;
    });
    for (const { handlers } of this.#checkers) {
      for (const [type, handler] of Object.entries(handlers)) {
        const list = this.#byType.get(type as FactType) ?? [];
        list.push(handler as (fact: Fact, atUs: number) => void);
        this.#byType.set(type as FactType, list);
      }
    }
  }

  observe(fact: Fact, atUs: number): void {
    for (const handle of this.#byType.get(fact.type) ?? []) handle(fact, atUs);
  }

  finish(nowUs: number): void {
    for (const { finish } of this.#checkers) finish?.(nowUs);
  }
}
