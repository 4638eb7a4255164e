/**
 * Who may use which subject, as data: the server's configuration and the table in the documentation
 * come from here, and a test tries every user on every subject (I9). Everything that is not granted
 * is denied, and nobody is let in without a key.
 */

import {
  BLOB_BUCKET,
  CHAOS_COMMAND,
  CHAOS_JOURNAL,
  DISCONNECTS,
  FORECAST_BUCKET,
  INGRESS_HEARTBEATS,
  JOB_STATE_BUCKET,
  LEASE_BUCKET,
  LEDGER_STREAM,
  LOAD_HOUR_STREAM,
  LOAD_MINUTE_STREAM,
  REGISTRY_BUCKET,
  SCHEDULER_HEARTBEATS,
  subjects,
  WORKER_HEARTBEATS,
} from "@millrace/protocol";
import { MANAGE_JOBS, RUN_JOBS } from "./job-rights.ts";
import { lookUpStream, manageStream, readStream } from "./rights.ts";

/** Millrace's own traffic, and the broker's reports on itself. */
export const ACCOUNTS = ["APP", "SYS"] as const;
export type Account = (typeof ACCOUNTS)[number];

export const USERS = [
  "ingress",
  "scheduler",
  "gpu-worker",
  "cpu-worker",
  "forecaster",
  "admin",
  "inspector",
  "sysmon",
  "chaos",
] as const;
export type User = (typeof USERS)[number];

export interface Grant {
  readonly user: User;
  readonly account: Account;
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /** May answer a request on its reply subject, whatever that is: so often, for so long. */
  readonly allowResponses?: { readonly max: number; readonly expiresMs: number };
  readonly why: string;
}

/** Replies come to a prefix of the user's own: the shared default would let all read them. */
export const inboxPrefix = (user: User): string => `_INBOX_${user}`;

const REGISTRY = `KV_${REGISTRY_BUCKET}`;
const HISTORY = [LOAD_MINUTE_STREAM, LOAD_HOUR_STREAM, LEDGER_STREAM];
const BLOBS = `OBJ_${BLOB_BUCKET}`;

/** Limits and usage of the account; the nats command asks for it before it uses JetStream. */
const JETSTREAM_INFO = "$JS.API.INFO";
/** What `nats micro ls|info|stats` asks, and what it is answered on. */
const MICRO_REQUESTS = "$SRV.>";
const MICRO_REPLIES = { max: 1, expiresMs: 5_000 };

const worker = (user: "gpu-worker" | "cpu-worker", why: string): Grant => ({
  user,
  account: "APP",
  publish: [
    subjects.answer("*"),
    subjects.done("*"),
    subjects.fetch("*"),
    WORKER_HEARTBEATS,
    ...readStream(BLOBS),
  ],
  subscribe: [
    `${inboxPrefix(user)}.>`,
    subjects.assign("*"),
    subjects.command("*"),
    subjects.tensor("*"),
    SCHEDULER_HEARTBEATS,
    // Another process with its own id is heard here.
    WORKER_HEARTBEATS,
    DISCONNECTS,
    MICRO_REQUESTS,
    subjects.chaosHook(user, "*"),
  ],
  allowResponses: MICRO_REPLIES,
  why,
});

export const PERMISSIONS: readonly Grant[] = [
  {
    user: "ingress",
    account: "APP",
    publish: [
      subjects.ticket("*"),
      subjects.tensor("*"),
      INGRESS_HEARTBEATS,
      subjects.loadMinute("*"),
      ...readStream(REGISTRY),
      ...RUN_JOBS,
    ],
    subscribe: [
      `${inboxPrefix("ingress")}.>`,
      subjects.answer("*"),
      subjects.fetch("*"),
      SCHEDULER_HEARTBEATS,
      WORKER_HEARTBEATS,
      DISCONNECTS,
      MICRO_REQUESTS,
      subjects.chaosHook("ingress", "*"),
    ],
    allowResponses: MICRO_REPLIES,
    why: "sends tickets and large tensors, takes the answers, knows the signatures; runs durable jobs",
  },
  {
    user: "scheduler",
    account: "APP",
    publish: [
      subjects.assign("*"),
      subjects.command("*"),
      subjects.answer("*"),
      SCHEDULER_HEARTBEATS,
      ...readStream(REGISTRY),
    ],
    subscribe: [
      `${inboxPrefix("scheduler")}.>`,
      subjects.ticket("*"),
      subjects.done("*"),
      SCHEDULER_HEARTBEATS,
      WORKER_HEARTBEATS,
      INGRESS_HEARTBEATS,
      DISCONNECTS,
      MICRO_REQUESTS,
      subjects.chaosHook("scheduler", "*"),
    ],
    allowResponses: MICRO_REPLIES,
    why: "takes tickets, assigns batches and loads, refuses what cannot be served in time",
  },
  worker("gpu-worker", "runs batches, fetches large tensors, answers; reads models, writes none"),
  worker("cpu-worker", "the same on CPU cores"),
  {
    user: "forecaster",
    account: "APP",
    publish: [
      subjects.event("budget"),
      subjects.loadHour("*"),
      subjects.ledger("*"),
      subjects.fleet("*"),
      `$KV.${FORECAST_BUCKET}.>`,
      `$KV.${LEASE_BUCKET}.forecaster`,
      ...[...HISTORY, `KV_${FORECAST_BUCKET}`, `KV_${LEASE_BUCKET}`].flatMap(lookUpStream),
      ...readStream(REGISTRY),
      // How much work of jobs waits: their records, without what was asked and answered.
      ...lookUpStream(`KV_${JOB_STATE_BUCKET}`),
    ],
    subscribe: [
      `${inboxPrefix("forecaster")}.>`,
      SCHEDULER_HEARTBEATS,
      WORKER_HEARTBEATS,
      DISCONNECTS,
      MICRO_REQUESTS,
    ],
    allowResponses: MICRO_REPLIES,
    why: "reads the load, writes forecasts, plans and the ledger, says how many workers there be",
  },
  {
    user: "admin",
    account: "APP",
    publish: [
      JETSTREAM_INFO,
      "$JS.API.STREAM.LIST",
      "$JS.API.STREAM.NAMES",
      ...manageStream(REGISTRY),
      ...manageStream(BLOBS),
      ...HISTORY.flatMap(manageStream),
      ...manageStream(`KV_${FORECAST_BUCKET}`),
      ...manageStream(`KV_${LEASE_BUCKET}`),
      subjects.loadMinute("*"),
      `$KV.${REGISTRY_BUCKET}.>`,
      `$O.${BLOB_BUCKET}.>`,
      ...MANAGE_JOBS,
      CHAOS_COMMAND,
      MICRO_REQUESTS,
    ],
    subscribe: [
      `${inboxPrefix("admin")}.>`,
      "mr.hb.>",
      subjects.event(">"),
      subjects.fleet("*"),
      DISCONNECTS,
      CHAOS_JOURNAL,
      // `millrace up` is the supervisor of what it starts.
      subjects.chaosHook("supervisor", "*"),
    ],
    allowResponses: MICRO_REPLIES,
    why: "the millrace command: the only writer of models; sees the cluster's state, no payloads",
  },
  {
    user: "inspector",
    account: "APP",
    publish: [
      JETSTREAM_INFO,
      "$JS.API.STREAM.LIST",
      "$JS.API.STREAM.NAMES",
      "$JS.API.STREAM.INFO.*",
      "$JS.API.CONSUMER.LIST.*",
      "$JS.API.CONSUMER.NAMES.*",
      "$JS.API.CONSUMER.INFO.*.*",
      ...readStream(REGISTRY),
      MICRO_REQUESTS,
    ],
    subscribe: [
      `${inboxPrefix("inspector")}.>`,
      "mr.hb.>",
      subjects.event(">"),
      DISCONNECTS,
      CHAOS_JOURNAL,
      "$JS.EVENT.ADVISORY.>",
    ],
    why: "people with the nats command: state and events, no payloads, no changes",
  },
  {
    user: "sysmon",
    account: "SYS",
    publish: [
      "$SYS.REQ.SERVER.PING",
      ...["IDZ", "STATSZ", "VARZ", "HEALTHZ", "CONNZ", "SUBSZ", "ACCOUNTZ", "JSZ"].map(
        (report) => `$SYS.REQ.SERVER.PING.${report}`,
      ),
    ],
    subscribe: [
      `${inboxPrefix("sysmon")}.>`,
      "$SYS.SERVER.*.STATSZ",
      "$SYS.SERVER.*.CLIENT.AUTH.ERR",
      "$SYS.ACCOUNT.*.CONNECT",
      "$SYS.ACCOUNT.*.DISCONNECT",
    ],
    why: "monitoring of the broker itself: reports only, none of its commands",
  },
  {
    user: "chaos",
    account: "APP",
    publish: [
      subjects.chaosHook("*", "*"),
      CHAOS_JOURNAL,
      // An order may hit the broker: its answer comes over another connection than the order.
      `${inboxPrefix("admin")}.>`,
      `$JS.API.STREAM.INFO.${BLOBS}`,
      `$JS.API.STREAM.MSG.GET.${BLOBS}`,
      `$JS.API.STREAM.PURGE.${BLOBS}`,
      `$O.${BLOB_BUCKET}.M.>`,
      `$O.${BLOB_BUCKET}.C.>`,
    ],
    subscribe: [
      `${inboxPrefix("chaos")}.>`,
      CHAOS_COMMAND,
      SCHEDULER_HEARTBEATS,
      WORKER_HEARTBEATS,
      DISCONNECTS,
      MICRO_REQUESTS,
    ],
    allowResponses: MICRO_REPLIES,
    why: "faults on purpose: asks the members' hooks, damages stored models and mends them",
  },
];

/** The table of the documentation, one row per user. */
export function renderPermissionsTable(): string {
  const list = (entries: readonly string[]): string =>
    entries.map((entry) => `\`${entry}\``).join("<br>");
  const rows = PERMISSIONS.map(({ user, account, publish, subscribe, allowResponses, why }) => {
    const replies =
      allowResponses === undefined
        ? "none"
        : `${allowResponses.max} within ${allowResponses.expiresMs / 1000} s`;
    return `| ${user} | ${account} | ${list(publish)} | ${list(subscribe)} | ${replies} | ${why} |`;
  });
  return [
    "| user | account | may publish | may subscribe | replies | why |",
    "|---|---|---|---|---|---|",
    ...rows,
  ].join("\n");
}
