/**
 * Every invariant, and what breaks it: a run without a defence. What the simulator does not run is
 * held where it is.
 */

import type { InvariantId } from "@millrace/invariants";
import type { Defence, Incident, Scenario } from "../src/index.ts";

export interface Mutation {
  readonly without: readonly Defence[];
  /** Makes what the defence is for more frequent; undefined to take another seed. */
  readonly change?: (drawn: Scenario) => Partial<Scenario> | undefined;
  /** The defence betters the odds and promises nothing: some runs break with it too. */
  readonly odds?: true;
}

const SECOND_US = 1_000_000;

const only = (kind: Incident, meanUs: number): Pick<Scenario, "incidents"> => ({
  incidents: new Map([[kind, meanUs]]),
});

const busy = (): Partial<Scenario> => ({ rate: 500 });

type Change = NonNullable<Mutation["change"]>;

/** A cluster that has spare workers, and to which nothing happens but this. */
const gentle =
  (kind: Incident, meanUs: number, change: Partial<Scenario> = {}): Change =>
  (drawn) =>
    drawn.gentle ? { ...only(kind, meanUs), owedUsMin: SECOND_US, ...change } : undefined;

/** Many inputs that are bad, or end workers, and no other fault. */
const badInputs =
  (inputs: Pick<Scenario, "poison" | "killers">): Change =>
  ({ gentle: isGentle, network }) => {
    if (isGentle) return undefined;
    const sound = { ...network, loss: 0, duplication: 0, reordering: 0 };
    const calm = {
      ...only("herd", 300_000),
      network: sound,
      fatal: 0,
      schedulers: ["scheduler-1"],
    };
    return { ...inputs, ...calm, rate: 500, deadlineUsMin: SECOND_US };
  };

/** All workers end at once, and only so; word of it is not everywhere at the same time. */
const together: Change = ({ gentle: isGentle, network }) => {
  if (!isGentle) return undefined;
  const short = { deadlineUsMin: 300_000, deadlineUsMax: 450_000, owedUsMin: SECOND_US };
  const slow = { network: { ...network, jitterUs: 10_000 } };
  return { ...only("allWorkersGone", 700_000), noticed: 1, rate: 500, ...short, ...slow };
};

/** One model and one ingress, which therefore soon knows how long answers take. */
const hedged: Change = (drawn) => {
  const [model] = drawn.models;
  const [ingress] = drawn.ingresses;
  if (!drawn.gentle || model === undefined || ingress === undefined) return undefined;
  const deadlines = { deadlineUsMin: SECOND_US, deadlineUsMax: SECOND_US, owedUsMin: SECOND_US };
  const small = { models: [model], ingresses: [ingress], rate: 250 };
  return { ...only("hang", 900_000), ...deadlines, ...small, tiers: [1, 1, 0] };
};

/** Many jobs, and ingresses that end while they are at them. */
const working: Change = ({ gentle: isGentle, network }) =>
  isGentle
    ? undefined
    : { jobs: 8, network: { ...network, loss: 0.02 }, ...only("ingressCrash", 150_000) };

const calm: Change = (drawn) => (drawn.calm ? { calm: true, rate: 1.2 * drawn.rate } : undefined);

export const MUTATIONS: Readonly<Partial<Record<InvariantId, readonly Mutation[]>>> = {
  I1: [
    { without: ["oneSettle"] },
    { without: ["drain"], change: gentle("ingressDrain", 300_000, { rate: 250 }) },
  ],
  I2: [
    { without: ["ownSequence"], change: () => only("ingressCrash", 200_000) },
    { without: ["ownOutput"] },
    { without: ["bisecting"], change: badInputs({ poison: 0.15, killers: 0 }) },
    { without: ["commonCause"], change: together },
    { without: ["isolation"], change: badInputs({ poison: 0, killers: 0.01 }) },
  ],
  I3: [
    // Either is enough: the scheduler loads what fits, and the worker refuses what does not.
    {
      without: ["freeMemory", "memoryGuard"],
      change: ({ gentle: isGentle, models }) => (!isGentle && models.length > 5 ? {} : undefined),
    },
    { without: ["batchLimit"] },
  ],
  I4: [
    { without: ["latestStart"], change: busy },
    { without: ["slices"], change: busy },
    { without: ["tierOrder"], change: busy },
  ],
  I5: [
    { without: ["firstWrite"], change: working },
    { without: ["ackLast"], change: working },
  ],
  I6: [
    {
      without: ["queueLimit"],
      change: () => ({ openMax: 50, queueTicketsMax: 40, rate: 500 }),
    },
    { without: ["quarantine"], change: badInputs({ poison: 0, killers: 0.01 }) },
    {
      without: ["budget"],
      change: ({ gentle: isGentle, network }) =>
        isGentle ? undefined : { retryBurst: 5, rate: 500, network: { ...network, loss: 0 } },
    },
  ],
  I7: [
    { without: ["retry"], change: gentle("workerCrash", 300_000, { noticed: 1, rate: 250 }) },
    { without: ["suspicion"], change: gentle("schedulerCrash", 300_000, { noticed: 0 }) },
    {
      without: ["wedgeWatch"],
      change: gentle("hang", 300_000, { owedUsMin: 3 * SECOND_US }),
    },
    {
      without: ["failover"],
      change: gentle("gpuFull", 300_000, { rate: 250 }),
    },
    { without: ["hedge"], change: hedged, odds: true },
    {
      without: ["reconciliation"],
      change: ({ gentle: isGentle, network }) =>
        isGentle ? undefined : { network: { ...network, loss: 0.05 } },
    },
  ],
  I8: [
    { without: ["digestCheck"], change: () => corrupted },
    { without: ["residentDigest"], change: () => only("readd", 200_000) },
  ],
  I10: [
    { without: ["promptDone"], change: calm },
    { without: ["urgentBatches"], change: calm },
  ],
};

/** A file goes bad, and a process that reads it starts. */
const corrupted: Partial<Scenario> = {
  incidents: new Map<Incident, number>([
    ["corruptCache", 200_000],
    ["workerCrash", 300_000],
  ]),
};

/** Invariants of what the simulator does not run, and the test that breaks each. */
export const HELD_ELSEWHERE: Readonly<Partial<Record<InvariantId, string>>> = {
  // Each user against each subject, on a real server.
  I9: "libs/broker/test/permissions.test.ts",
};
