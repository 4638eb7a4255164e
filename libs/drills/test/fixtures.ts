/** Documents, requests and jobs for the tests, sound unless a test says otherwise. */

import type { LedgerJob, LedgerRequest } from "../src/index.ts";

export const action = (words: string, more: object = {}): object => ({
  type: "action",
  name: words,
  provider: { type: "process", path: "millrace", arguments: words },
  ...more,
});

export const document = (more: object = {}, extension: object = {}): object => ({
  version: "1.0.0",
  title: "A killed worker",
  description: "One of the workers is killed under load.",
  method: [
    action("chaos fault kill --role gpu-worker --count 1 --for 2s", { pauses: { after: 3 } }),
  ],
  extensions: [
    {
      name: "millrace",
      seed: 7,
      load: {
        "requests-per-second": 50,
        duration: "30s",
        "warm-up": "5s",
        mix: [{ model: "tiny" }],
      },
      ...extension,
    },
  ],
  ...more,
});

export const MEMBERS = [
  { id: "ingress-1", role: "ingress" },
  { id: "scheduler-1", role: "scheduler" },
  { id: "scheduler-2", role: "scheduler" },
  { id: "gpu-worker-1", role: "gpu-worker" },
  { id: "gpu-worker-2", role: "gpu-worker" },
  { id: "gpu-worker-3", role: "gpu-worker" },
  { id: "cpu-worker-1", role: "cpu-worker" },
  { id: "nats-1", role: "nats" },
];

let number = 0;

/** Asked at 1 s, answered rightly after 5 ms. */
export function request(more: Partial<LedgerRequest> = {}): LedgerRequest {
  number++;
  const intendedUs = more.intendedUs ?? 1_000_000;
  return {
    id: `request-${number}`,
    tenant: 0,
    model: "tiny",
    priority: "realtime",
    intendedUs,
    sentUs: intendedUs,
    endedUs: intendedUs + 5_000,
    budgetUs: 2_000_000,
    attempts: 1,
    poison: false,
    ending: "answered",
    status: 200,
    code: "",
    question: "tiny-1",
    matched: "tiny-1",
    ...more,
  };
}

/** Accepted at 2 s and done at 3 s, with two right results. */
export function job(more: Partial<LedgerJob> = {}): LedgerJob {
  number++;
  const result = (index: number) => ({
    index,
    ok: true,
    code: "",
    question: `tiny-${index}`,
    matched: `tiny-${index}`,
  });
  return {
    key: `key-${number}`,
    tenant: 0,
    items: 2,
    submittedUs: 1_900_000,
    acceptedUs: 2_000_000,
    endedUs: 3_000_000,
    gone: false,
    ids: [`job-${number}`],
    attempts: 1,
    status: 202,
    code: "",
    results: [result(0), result(1)],
    ...more,
  };
}
