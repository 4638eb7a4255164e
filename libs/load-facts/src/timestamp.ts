/**
 * Timestamps of traces as whole Unix microseconds, and back. Civil days are counted as in Howard
 * Hinnant's `days_from_civil`, because cores have no `Date`.
 */

const DAY_S = 86_400;
const ISO =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?(Z|[+-]\d{2}:?\d{2})?$/;
const NUMBER = /^\d{1,20}(?:\.\d{1,9})?$/;
/** Numbers below are seconds, above milliseconds, and so on: 1e11 s is the year 5138. */
const SECONDS_MAX = 100_000_000_000;
/** Microseconds in one of a number below 1e11, 1e14, 1e17 and 1e20. */
const EPOCH_UNITS_US = [1_000_000, 1_000, 1, 0.001];

/**
 * Reads ISO 8601 (`2026-01-31T10:00:00Z`, an offset, or none, which is read as UTC), or an epoch in
 * seconds, milliseconds, microseconds or nanoseconds. Undefined for anything else, 31 February
 * included.
 */
export function parseTimestampUs(text: string): number | undefined {
  if (NUMBER.test(text)) {
    const value = Number(text);
    const unit = EPOCH_UNITS_US.find((_, at) => value < SECONDS_MAX * 1_000 ** at);
    return unit === undefined ? undefined : Math.round(value * unit);
  }
  const parts = ISO.exec(text);
  if (parts === null) return undefined;
  const field = (at: number): number => Number(parts[at] ?? 0);
  const [year, month, day, hour, minute, second] = [1, 2, 3, 4, 5, 6].map(field) as SixNumbers;
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return undefined;
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const offsetS = offsetSeconds(parts[8] ?? "Z");
  if (offsetS === undefined) return undefined;
  const wholeS =
    daysFromCivil(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second - offsetS;
  return wholeS * 1_000_000 + Math.round(Number(`0.${parts[7] ?? "0"}`) * 1_000_000);
}

type SixNumbers = [number, number, number, number, number, number];

/** `2026-01-31T10:00:00Z`, with milliseconds where there are any. */
export function formatTimestamp(us: number): string {
  const wholeS = Math.floor(us / 1_000_000);
  const days = Math.floor(wholeS / DAY_S);
  const rest = wholeS - days * DAY_S;
  const ms = Math.floor((us - wholeS * 1_000_000) / 1_000);
  const [year, month, day] = civilFromDays(days);
  const two = (value: number): string => String(value).padStart(2, "0");
  const clock = [rest / 3600, (rest % 3600) / 60, rest % 60].map((part) => two(Math.floor(part)));
  const fraction = ms === 0 ? "" : `.${String(ms).padStart(3, "0")}`;
  const date = `${String(year).padStart(4, "0")}-${two(month)}-${two(day)}`;
  return `${date}T${clock.join(":")}${fraction}Z`;
}

function offsetSeconds(text: string): number | undefined {
  if (text === "Z") return 0;
  const hours = Number(text.slice(1, 3));
  const minutes = Number(text.slice(-2));
  if (hours > 14 || minutes > 59) return undefined;
  return (text.startsWith("-") ? -1 : 1) * (hours * 3600 + minutes * 60);
}

function daysIn(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

function daysFromCivil(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const ofEra = shifted - era * 400;
  const ofYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  const dayOfEra = ofEra * 365 + Math.floor(ofEra / 4) - Math.floor(ofEra / 100) + ofYear;
  return era * 146_097 + dayOfEra - 719_468;
}

function civilFromDays(days: number): [number, number, number] {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const ofEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const ofYear = dayOfEra - (365 * ofEra + Math.floor(ofEra / 4) - Math.floor(ofEra / 100));
  const shiftedMonth = Math.floor((5 * ofYear + 2) / 153);
  const month = ((shiftedMonth + 2) % 12) + 1;
  const day = ofYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1;
  return [era * 400 + ofEra + (month <= 2 ? 1 : 0), month, day];
}
