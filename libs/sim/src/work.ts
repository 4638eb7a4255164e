/** What shows of work on its way: it waits at a scheduler, a device has it, or it is over. */

import type { Fact } from "@millrace/invariants";
import type { AssignmentFrame, CancelFrame, TicketFrame } from "@millrace/protocol";
import type { WorkerEffect } from "@millrace/executing";
import type { SchedulerEffect } from "@millrace/scheduling";

type EffectOf<E, T> = Extract<E, { readonly type: T }>;

interface Attempt {
  readonly ingress: string;
  readonly seq: number;
  readonly attempt: number;
}

/** Of one try of a request, and of the body that is fetched for it. */
export const attemptName = ({ ingress, seq, attempt }: Attempt): string =>
  `${ingress}/${seq}/${attempt}`;

export const queuedWork = (scheduler: string, { ingress, model, tickets }: TicketFrame): Fact[] =>
  tickets.map(({ seq, attempt, tier }) => {
    const work = attemptName({ ingress, seq, attempt });
    return { type: "workQueued", work, scheduler, model, tier };
  });

export const givenWork = (device: string, { items }: AssignmentFrame): Fact => ({
  type: "workGiven",
  works: items.map(attemptName),
  device,
});

export const refusedWork = ({ ingress, refusals }: EffectOf<SchedulerEffect, "refuse">): Fact[] =>
  refusals.map(({ seq, attempt }) => {
    return { type: "workDropped", work: attemptName({ ingress, seq, attempt }) };
  });

/** Every attempt at these. */
export const cancelledWork = ({ ingress, seqs }: CancelFrame): Fact[] =>
  seqs.map((seq) => ({ type: "workDropped", work: `${ingress}/${seq}` }));

export const endedWork = (device: string, { items }: EffectOf<WorkerEffect, "answer">): Fact[] =>
  items.map((item) => ({ type: "workEnded", work: attemptName(item), device }));
