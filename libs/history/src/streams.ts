/** The streams and buckets of load and money: what is kept, how long, and how much at most (I6). */

import {
  DiscardPolicy,
  jetstream,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { type NatsConnection, nanos } from "@nats-io/transport-node";
import {
  FORECAST_BUCKET,
  LEASE_BUCKET,
  LEDGER_STREAM,
  type LedgerEntry,
  ledgerEntrySchema,
  LOAD_HOUR_STREAM,
  LOAD_MINUTE_STREAM,
  loadFactSchema,
  FaultError,
  subjects,
} from "@millrace/protocol";
import { CALL_MS_MAX, storageFault } from "@millrace/store";
import { EventLog } from "./event-log.ts";

const DAY_MS = 86_400_000;
/** Seven weeks: what the forecaster fits on, and a week to look back. */
const MINUTES_KEPT_MS = 49 * DAY_MS;
const HOURS_KEPT_MS = 800 * DAY_MS;
const LEDGER_KEPT_MS = 400 * DAY_MS;
const STREAM_BYTES_MAX = 2 * 1024 ** 3;
/** A source that lost its acknowledgement sends the same entry again within this time. */
const DUPLICATE_WINDOW_MS = 10 * 60_000;

const KEPT: readonly (readonly [string, string, number])[] = [
  [LOAD_MINUTE_STREAM, subjects.loadMinute("*"), MINUTES_KEPT_MS],
  [LOAD_HOUR_STREAM, subjects.loadHour("*"), HOURS_KEPT_MS],
  [LEDGER_STREAM, subjects.ledger("*"), LEDGER_KEPT_MS],
];

/**
 * Makes what is missing; needs the rights of `admin`. What is there stays as it is.
 * @throws FaultError when JetStream refuses or does not answer.
 */
export async function createHistory(
  connection: NatsConnection,
  { replicas = 1 }: { readonly replicas?: number } = {},
): Promise<void> {
  try {
    const client = jetstream(connection, { timeout: CALL_MS_MAX, checkAPI: false });
    const { streams } = await client.jetstreamManager(false);
    const names = new Set<string>();
    for await (const name of streams.names()) names.add(name);
    for (const [name, subject, keptMs] of KEPT) {
      if (names.has(name)) continue;
      await streams.add({
        name,
        subjects: [subject],
        storage: StorageType.File,
        retention: RetentionPolicy.Limits,
        discard: DiscardPolicy.Old,
        max_age: nanos(keptMs),
        max_bytes: STREAM_BYTES_MAX,
        duplicate_window: nanos(DUPLICATE_WINDOW_MS),
        num_replicas: replicas,
      } satisfies Partial<StreamConfig> & { name: string });
    }
    const kvm = new Kvm(client);
    const bucket = { replicas, storage: StorageType.File, allow_direct: false, history: 1 };
    await kvm.create(FORECAST_BUCKET, { ...bucket, compression: true });
    // A key ends by itself; the marker of its end is kept a second.
    await kvm.create(LEASE_BUCKET, { ...bucket, markerTTL: 1_000 });
  } catch (error) {
    const { code, message } = storageFault(error, "making the streams of load and cost");
    throw new FaultError(code, message, { cause: error });
  }
}

/** A fact is known by its model, priority, source, tenant, kind and span: sent twice, it is one. */
const keyOf = (fact: {
  readonly model: string;
  readonly priority: string;
  readonly source: string;
  readonly tenant?: string | undefined;
  readonly kind?: string | undefined;
  readonly atUs: number;
}): string => {
  const { model, priority, source, tenant = "", kind = "", atUs } = fact;
  return [model, priority, source, tenant, kind, atUs].join(" ");
};

export const openMinuteFacts = (connection: NatsConnection): EventLog<typeof loadFactSchema> =>
  new EventLog(connection, {
    stream: LOAD_MINUTE_STREAM,
    schema: loadFactSchema,
    subjectOf: ({ model }) => subjects.loadMinute(model),
    keyOf,
  });

/** An entry is known by its pool, minute and part: sent twice, it is one; other parts add to it. */
export const ledgerKey = (entry: LedgerEntry): string => {
  const { kind, zone, lifecycle, atUs, epoch = "", part = "" } = entry;
  return [kind, zone, lifecycle, atUs, epoch, part].join(" ");
};

export const openLedger = (connection: NatsConnection): EventLog<typeof ledgerEntrySchema> =>
  new EventLog(connection, {
    stream: LEDGER_STREAM,
    schema: ledgerEntrySchema,
    subjectOf: ({ kind, zone, lifecycle }) => subjects.ledger(`${kind}-${zone}-${lifecycle}`),
    keyOf: ledgerKey,
  });

export const openHourFacts = (connection: NatsConnection): EventLog<typeof loadFactSchema> =>
  new EventLog(connection, {
    stream: LOAD_HOUR_STREAM,
    schema: loadFactSchema,
    subjectOf: ({ model }) => subjects.loadHour(model),
    keyOf,
  });
