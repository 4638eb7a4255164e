/** When a drill may run: on which days of the week, and between which hours, in a time zone. */

import type { TimeWindow } from "./drill.ts";
import type { Reader } from "./reading.ts";

const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const;

export function readWindow(reader: Reader): TimeWindow {
  const fields = reader.fields("days", "from", "to", "tz");
  const days = fields.days.items(DAYS.length).flatMap(readDays);
  const timeZone = fields.tz.text("UTC");
  if (!isTimeZone(timeZone)) fields.tz.wrong(`${timeZone}: no time zone`);
  return {
    days: fields.days.absent ? DAYS.map((_, day) => day) : days,
    fromMinute: readMinute(fields.from, 0),
    toMinute: readMinute(fields.to, 24 * 60),
    timeZone,
  };
}

/** `mon`, or `mon-fri`, which may go over the end of the week. */
function readDays(reader: Reader): readonly number[] {
  const [first = "", last = first] = reader.text().toLowerCase().split("-");
  const from = DAYS.findIndex((day) => day === first);
  const to = DAYS.findIndex((day) => day === last);
  if (from === -1 || to === -1) {
    reader.wrong(`${first}-${last}: expected days such as mon or mon-fri`);
    return [];
  }
  const count = ((to - from + DAYS.length) % DAYS.length) + 1;
  return Array.from({ length: count }, (_, at) => (from + at) % DAYS.length);
}

function readMinute(reader: Reader, fallback: number): number {
  if (reader.absent) return fallback;
  const found = /^([01]?\d|2[0-4]):([0-5]\d)$/.exec(reader.text());
  if (found !== null) return Number(found[1]) * 60 + Number(found[2]);
  reader.wrong('expected a time of the day in quotes, as "09:00"');
  return fallback;
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en-GB", { timeZone: name }).format(0) !== "";
  } catch {
    return false;
  }
}

/** From 22:00 to 06:00 goes over midnight, and is of the day on which it began. */
function isOpen({ days, fromMinute, toMinute }: TimeWindow, day: number, minute: number): boolean {
  if (fromMinute < toMinute) return days.includes(day) && minute >= fromMinute && minute < toMinute;
  const before = (day + DAYS.length - 1) % DAYS.length;
  return (
    (days.includes(day) && minute >= fromMinute) || (days.includes(before) && minute < toMinute)
  );
}

/** @param nowUs Unix microseconds. @returns why not now; undefined where the window is open. */
export function closedReason(window: TimeWindow, nowUs: number): string | undefined {
  const format = new Intl.DateTimeFormat("en-GB", {
    timeZone: window.timeZone,
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
  const parts = new Map(
    format.formatToParts(nowUs / 1000).map(({ type, value }) => [type as string, value]),
  );
  const weekday = parts.get("weekday") ?? "";
  const day = DAYS.findIndex((name) => name === weekday.toLowerCase());
  const minute = Number(parts.get("hour")) * 60 + Number(parts.get("minute"));
  if (isOpen(window, day, minute)) return undefined;
  const clock = `${weekday} ${parts.get("hour")}:${parts.get("minute")}`;
  return `it is ${clock} in ${window.timeZone}, outside the drill's window`;
}
