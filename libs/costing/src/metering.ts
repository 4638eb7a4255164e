/** Pay-per-use metering per API key, as files that billing systems read. */

import type { Booked, Charge } from "./ledger.ts";
import { MICROS } from "./price-book.ts";

const COLUMNS = [
  "key",
  "tenant",
  "model",
  "priority",
  "requests",
  "tokens",
  "device_us",
  "bytes_across_zones",
  "cost_usd",
] as const;

type MeteredRow = Readonly<Record<(typeof COLUMNS)[number], string | number>>;

/** Dollars with all six places, so that sums of the file are the ledger's. */
const dollars = (micros: number): string =>
  `${Math.floor(micros / MICROS)}.${String(micros % MICROS).padStart(6, "0")}`;

function meteredRows({ charges }: Booked): MeteredRow[] {
  const order = ({ key, model, priority, tenant }: Charge): string =>
    JSON.stringify([key, tenant, model, priority]);
  return charges
    .toSorted((a, b) => (order(a) < order(b) ? -1 : 1))
    .map((charge) => ({
      key: charge.key,
      tenant: charge.tenant,
      model: charge.model,
      priority: charge.priority,
      requests: charge.requests,
      tokens: charge.tokens,
      device_us: charge.deviceUs,
      bytes_across_zones: charge.bytesAcrossZones,
      cost_usd: dollars(charge.micros),
    }));
}

/** RFC 4180. A cell that a spreadsheet would run as a formula is made a text. */
export function meterCsv(booked: Booked): string {
  const cell = (value: string | number): string => {
    const text = String(value);
    const inert = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
  };
  const rows = meteredRows(booked).map((row) => COLUMNS.map((name) => cell(row[name])).join(","));
  return `${[COLUMNS.join(","), ...rows].join("\n")}\n`;
}

export const meterJsonLines = (booked: Booked): string =>
  meteredRows(booked)
    .map((row) => `${JSON.stringify(row)}\n`)
    .join("");
