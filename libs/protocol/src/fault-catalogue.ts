/** The faults that there are: what each does, to whom, with which options. */

export type OptionValue = number | string | boolean;

interface Option<T> {
  readonly fallback: T;
  readonly help: string;
}

export type FaultOption =
  | (Option<number> & { readonly type: "number"; readonly min: number; readonly max: number })
  | (Option<string> & { readonly type: "choice"; readonly choices: readonly string[] })
  | (Option<boolean> & { readonly type: "flag" })
  | (Option<string> & { readonly type: "text" });

export const FAULT_FAMILIES = [
  "process",
  "network",
  "message",
  "storage",
  "device",
  "configuration",
  "load",
] as const;
export type FaultFamily = (typeof FAULT_FAMILIES)[number];

export interface FaultEntry {
  readonly family: FaultFamily;
  /** The roles that it can be aimed at; absent for every role. */
  readonly roles?: readonly string[];
  readonly help: string;
  readonly options: Readonly<Record<string, FaultOption>>;
  /** Made elsewhere: the load generator of a drill. It cannot be injected. */
  readonly elsewhere?: true;
  /** What it takes away is shared: all of the target's role are hit. */
  readonly shared?: true;
}

const number = (fallback: number, min: number, max: number, help: string): FaultOption => ({
  type: "number",
  fallback,
  min,
  max,
  help,
});
const choice = (fallback: string, choices: readonly string[], help: string): FaultOption => ({
  type: "choice",
  fallback,
  choices,
  help,
});
const flag = (fallback: boolean, help: string): FaultOption => ({ type: "flag", fallback, help });
const text = (fallback: string, help: string): FaultOption => ({ type: "text", fallback, help });

export const WORKER_ROLES = ["gpu-worker", "cpu-worker"] as const;
/** Members that hold a connection through the fault proxy. */
const CLIENTS = ["ingress", "scheduler", ...WORKER_ROLES, "forecaster"] as const;
/** Members with hooks inside: those, and no broker. */
const HOOKED = ["ingress", "scheduler", ...WORKER_ROLES] as const;

const probability = (fallback: number, help: string): FaultOption => number(fallback, 0, 1, help);
const direction = choice(
  "both",
  ["to", "from", "both"],
  "to the member, from it to the broker, or both",
);
const US_MAX = 60_000_000;
const subject = text("mr.", "messages whose subject begins with this; JetStream's are not touched");

export const FAULTS = {
  kill: {
    family: "process",
    help: "kill -9; its supervisor starts it again",
    options: { keepDown: flag(false, "killed again as often as it comes back") },
  },
  pause: { family: "process", help: "frozen by SIGSTOP, goes on by SIGCONT", options: {} },
  restart: {
    family: "process",
    help: "SIGTERM: it drains, ends, and is started again",
    options: {},
  },
  "slow-cpu": {
    family: "process",
    help: "frozen and let go in turns, as on a busy or throttled machine",
    options: {
      share: number(0.2, 0.01, 0.99, "of the time in which it may run"),
      periodUs: number(100_000, 20_000, 2_000_000, "one turn"),
    },
  },
  "all-workers-gone": {
    family: "process",
    roles: ["worker"],
    help: "every worker killed, and killed again while it lasts",
    options: {},
  },
  latency: {
    family: "network",
    roles: CLIENTS,
    help: "bytes arrive later, in order",
    options: {
      delayUs: number(50_000, 0, US_MAX, "each way"),
      jitterUs: number(0, 0, US_MAX, "up to so much more, uniformly"),
      direction,
    },
  },
  loss: {
    family: "network",
    roles: CLIENTS,
    help:
      "TCP repeats what is lost, so a lost segment is a stall, and a link that loses too much is " +
      "cut; NATS itself can lose whole messages",
    options: {
      as: choice("message", ["message", "stall", "cut"], "what is lost, as its receiver sees it"),
      probability: probability(0.05, "of a message, or of a read of up to 64 KiB"),
      stallUs: number(200_000, 1_000, US_MAX, "a retransmission, for `stall`"),
      direction,
      subject,
    },
  },
  blackhole: {
    family: "network",
    roles: CLIENTS,
    help: "nothing passes, not even an end; what was sent arrives when it heals",
    options: { direction },
  },
  partition: {
    family: "network",
    roles: ["scheduler", ...WORKER_ROLES, "forecaster", "nats"],
    help: "off its network, as by a pulled cable; of containers alone",
    options: {},
  },
  reset: {
    family: "network",
    roles: CLIENTS,
    help: "connections are reset; new ones pass",
    options: { everyUs: number(0, 0, US_MAX, "again and again; 0 is once") },
  },
  "half-open": {
    family: "network",
    roles: CLIENTS,
    help: "open connections die and neither side is told; new ones pass",
    options: {},
  },
  "slow-link": {
    family: "network",
    roles: CLIENTS,
    help: "a narrow link",
    options: { bytesPerSecond: number(64 * 1024, 16, 1e9, "each way"), direction },
  },
  "slow-consumer": {
    family: "network",
    roles: CLIENTS,
    help: "the member's side is hardly read, so that the broker's buffers for it fill",
    options: { bytesPerSecond: number(1_024, 0, 1e9, "that it still reads; 0 is none") },
  },
  duplicate: {
    family: "message",
    roles: CLIENTS,
    help: "messages are delivered twice",
    options: { probability: probability(0.1, "of a message"), direction, subject },
  },
  reorder: {
    family: "message",
    roles: CLIENTS,
    help: "a message is delivered after the one that follows it",
    options: {
      probability: probability(0.1, "of a message"),
      waitUs: number(5_000, 100, 1_000_000, "how long it waits for one that follows"),
      direction,
      subject,
    },
  },
  "disk-full": {
    family: "storage",
    roles: ["nats"],
    help: "the store takes no more: filled where it is a small one of its own, else limited",
    options: {},
  },
  "corrupt-blob": {
    family: "storage",
    roles: ["nats"],
    help: "a model's file in the object store has a wrong byte",
    options: { digest: text("", "SHA-256 of the file; the first one where empty") },
  },
  "corrupt-cache": {
    family: "storage",
    roles: WORKER_ROLES,
    help: "one byte of every file in the worker's cache is flipped",
    options: {},
  },
  "gpu-lost": {
    family: "device",
    roles: WORKER_ROLES,
    help: "the next run fails as a lost CUDA context does; a new process has a device again. Not on a real GPU",
    options: {},
  },
  "gpu-oom": {
    family: "device",
    roles: WORKER_ROLES,
    help: "runs fail for want of device memory; not on a real GPU",
    options: {
      rowsAbove: number(0, 0, 1_000_000, "only runs of more rows"),
      probability: probability(1, "of a run"),
    },
  },
  "clock-skew": {
    family: "device",
    roles: HOOKED,
    help: "the process's wall clock is wrong",
    options: { skewUs: number(300_000_000, -3.2e15, 3.2e15, "added to it") },
  },
  "spot-notice": {
    family: "device",
    roles: WORKER_ROLES,
    help: "told that it will be killed when the time is over: it drains, and is killed then",
    options: {},
  },
  "revoke-credentials": {
    family: "configuration",
    roles: CLIENTS,
    help: "the broker no longer knows the key of the member's role: all of the role are hit",
    options: {},
    shared: true,
  },
  "log-sink-blocked": {
    family: "configuration",
    help: "nobody reads what the process logs, and it logs more than the pipe and its memory hold",
    options: {},
  },
  "poison-input": {
    family: "load",
    help: "requests that the model cannot run, made by the load of a drill",
    options: {},
    elsewhere: true,
  },
  "thundering-herd": {
    family: "load",
    help: "a step of load, made by the load of a drill",
    options: {},
    elsewhere: true,
  },
} as const satisfies Record<string, FaultEntry>;

export type FaultKind = keyof typeof FAULTS;
export const FAULT_KINDS = Object.keys(FAULTS) as readonly FaultKind[] as readonly [
  FaultKind,
  ...FaultKind[],
];

export const faultEntry = (kind: FaultKind): FaultEntry => FAULTS[kind];
