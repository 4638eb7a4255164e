/** The ledger and the load facts of a period, from the cluster; and how a period is named. */

import type { Bus } from "@millrace/bus";
import { ledgerKey, openHourFacts, openLedger, openMinuteFacts } from "@millrace/history";
import { DAY_US, factKey, HOUR_US, MINUTE_US, parseTimestampUs } from "@millrace/load-facts";
import type { LedgerEntry, LoadFact } from "@millrace/protocol";
import { CommandError, usageError, valueOf } from "./failure.ts";

/** A length before the ledger's end, or a time. */
export type Since = { readonly lastUs: number } | { readonly fromUs: number };

/** What the cluster wrote down from `fromUs` up to `toUs`, each minute and fact once. */
export interface Period {
  readonly fromUs: number;
  readonly toUs: number;
  readonly workers: readonly LedgerEntry[];
  readonly facts: readonly LoadFact[];
  /** The same from the start of the calendar month that `toUs` is in, where it was asked for. */
  readonly month:
    | { readonly fromUs: number; readonly workers: readonly LedgerEntry[]; facts: LoadFact[] }
    | undefined;
}

const UNITS: Readonly<Record<string, number>> = { m: MINUTE_US, h: HOUR_US, d: DAY_US };
const LENGTH_US_MAX = 800 * DAY_US;
/** Minutes are kept 49 days; what is older is read by the hour. */
const MINUTES_US = 48 * DAY_US;
/** An entry is written within so long after its minute is over. */
const LATE_US = HOUR_US;

/** @throws CommandError for what is neither a length nor a time. */
export function readSince(text: string): Since {
  const [, digits, unit = ""] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  const lastUs = Number(digits) * (UNITS[unit] ?? 0);
  if (lastUs > 0 && lastUs <= LENGTH_US_MAX) return { lastUs };
  const fromUs = digits === undefined ? parseTimestampUs(text) : undefined;
  if (fromUs !== undefined) return { fromUs };
  throw usageError(`--since ${text}`, "it is like 90m, 24h or 7d (800d at most), or ISO 8601");
}

/** @throws CommandError where nothing was booked. */
export async function readPeriod(
  connection: Bus["connection"],
  since: Since,
  { month }: { readonly month: boolean },
): Promise<Period> {
  const readUs = "lastUs" in since ? Math.max(since.lastUs, month ? 31 * DAY_US : 0) : undefined;
  // By when it was acknowledged: a ledger whose clock runs faster has more in the same time.
  let range =
    readUs === undefined ? {} : { sinceUs: Math.max(0, Date.now() * 1_000 - readUs - LATE_US) };
  let entries = await readEntries(connection, range);
  // One that nobody has written for a while ends earlier, and so begins what is asked for.
  if (readUs !== undefined && firstOf(entries) > endOf(entries) - readUs) {
    range = {};
    entries = await readEntries(connection, range);
  }
  const toUs = endOf(entries);
  const fromUs = "lastUs" in since ? toUs - since.lastUs : since.fromUs;
  if (!entries.some(({ atUs }) => atUs >= fromUs)) throw nothingBooked();
  const monthUs = startOfMonth(toUs - 1);
  const facts = await readFacts(
    connection,
    month ? Math.min(monthUs, fromUs) : fromUs,
    toUs,
    range,
  );
  const within = <T extends { readonly atUs: number }>(items: readonly T[], startUs: number): T[] =>
    items.filter(({ atUs }) => atUs >= startUs && atUs < toUs);
  const cut = (startUs: number) => ({
    fromUs: startUs,
    workers: within(entries, startUs),
    facts: within(facts, startUs),
  });
  // A ledger that began later says nothing of the time before.
  const firstUs = within(entries, fromUs).reduce((at, { atUs }) => Math.min(at, atUs), toUs);
  return { ...cut(Math.max(fromUs, firstUs)), toUs, month: month ? cut(monthUs) : undefined };
}

type Range = Parameters<ReturnType<typeof openLedger>["read"]>[0];

/** Each once: what is booked again after a failure comes twice. */
async function readEntries(
  connection: Bus["connection"],
  range: Range,
): Promise<readonly LedgerEntry[]> {
  const booked = valueOf(await openLedger(connection).read(range));
  return [...new Map(booked.map((entry) => [ledgerKey(entry), entry])).values()];
}

const firstOf = (entries: readonly LedgerEntry[]): number =>
  entries.reduce((first, { atUs }) => Math.min(first, atUs), Infinity);

const endOf = (entries: readonly LedgerEntry[]): number =>
  entries.reduce((end, { atUs, spanUs }) => Math.max(end, atUs + spanUs), 0);

const nothingBooked = (): CommandError =>
  new CommandError(
    "the ledger has nothing of that time: worker time is booked by a forecaster, and none ran",
    "run services/forecaster beside the cluster, or `npm run up -- --elastic`; or name an " +
      "earlier --since",
  );

async function readFacts(
  connection: Bus["connection"],
  fromUs: number,
  toUs: number,
  range: { readonly sinceUs?: number },
): Promise<LoadFact[]> {
  const minutesUs = Math.max(fromUs, Math.ceil((toUs - MINUTES_US) / HOUR_US) * HOUR_US);
  const minutes = valueOf(await openMinuteFacts(connection).read(range));
  const hours = fromUs < minutesUs ? valueOf(await openHourFacts(connection).read(range)) : [];
  const once = new Map<string, LoadFact>();
  for (const fact of minutes) if (fact.atUs >= minutesUs) once.set(factKey(fact), fact);
  for (const fact of hours) if (fact.atUs < minutesUs) once.set(factKey(fact), fact);
  return [...once.values()].filter(({ atUs }) => atUs >= fromUs && atUs < toUs);
}

export function startOfMonth(us: number): number {
  const at = new Date(us / 1_000);
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth()) * 1_000;
}

export function endOfMonth(us: number): number {
  const at = new Date(us / 1_000);
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1) * 1_000;
}
