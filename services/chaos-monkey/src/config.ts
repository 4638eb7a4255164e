/** What a chaos-monkey is told. Without `MILLRACE_CHAOS=1` it plans and lists, and hits nobody. */

import type { TimeWindow } from "@millrace/drills";
import { BLAST_DEFAULT, FAULT_KINDS, FAULT_US_MAX } from "@millrace/protocol";
import {
  choiceField,
  commonFields,
  type ConfigValues,
  defineConfig,
  type Field,
  listField,
  textField,
  wholeField,
} from "@millrace/runtime";
import { fail, ok } from "@millrace/std";

const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const DAY_MINUTES = 24 * 60;
const HOUR_MS = 3_600_000;

const ALWAYS: TimeWindow = {
  days: DAYS.map((_, day) => day),
  fromMinute: 0,
  toMinute: DAY_MINUTES,
  timeZone: "UTC",
};

const windowField = (variable: string, help: string): Field<TimeWindow> => ({
  variable,
  help,
  expects: "always, or days, hours and a time zone such as mon-fri 09:00-15:00 Europe/Berlin",
  fallback: { value: ALWAYS, text: "always" },
  parse: (text) => {
    const window = text === "always" ? ALWAYS : parseWindow(text);
    return window === undefined ? fail("") : ok(window);
  },
});

/** `mon-fri 09:00-15:00 Europe/Berlin`; the days may go over the end of the week. */
function parseWindow(text: string): TimeWindow | undefined {
  const found = /^(\w{3})(?:-(\w{3}))? (\d\d):(\d\d)-(\d\d):(\d\d) (\S+)$/.exec(text);
  if (found === null) return undefined;
  const [, first = "", last = first, fromHour, fromMinute, toHour, toMinute, timeZone = ""] = found;
  const [begin, end] = [DAYS.indexOf(first), DAYS.indexOf(last)];
  const from = Number(fromHour) * 60 + Number(fromMinute);
  const to = Number(toHour) * 60 + Number(toMinute);
  if (begin === -1 || end === -1 || from >= to || to > DAY_MINUTES) return undefined;
  try {
    new Intl.DateTimeFormat("en-GB", { timeZone }).format(0);
  } catch {
    return undefined;
  }
  const count = ((end - begin + DAYS.length) % DAYS.length) + 1;
  const days = Array.from({ length: count }, (_, at) => (begin + at) % DAYS.length);
  return { days, fromMinute: from, toMinute: to, timeZone };
}

const common = commonFields("chaos-monkey");

export const fields = defineConfig({
  ...common,
  chaos: { ...common.chaos, help: "1 lets it inject faults; without, it plans and lists" },
  groundFile: textField("MILLRACE_CHAOS_GROUND", {
    default: "",
    help: "file in which the supervisor keeps what it has started; nothing else is ever hit",
  }),
  composeProject: textField("MILLRACE_CHAOS_COMPOSE", {
    default: "",
    help: "in place of the file: the compose project whose containers may be hit",
  }),
  monkey: choiceField("MILLRACE_CHAOS_MONKEY", {
    choices: ["0", "1"],
    default: "0",
    help: "1 draws faults from the start on, without being asked",
  }),
  seed: wholeField("MILLRACE_CHAOS_SEED", {
    min: 0,
    max: 2 ** 31,
    default: 1,
    help: "decides which faults are drawn, whom they hit, and when",
  }),
  meanMs: wholeField("MILLRACE_CHAOS_MEAN_MS", {
    min: 1,
    max: 24 * HOUR_MS,
    default: 180_000,
    help: "mean time between two drawn faults",
  }),
  distanceMs: wholeField("MILLRACE_CHAOS_DISTANCE_MS", {
    min: 0,
    max: 24 * HOUR_MS,
    default: 30_000,
    help: "least time between two drawn faults",
  }),
  durationMs: wholeField("MILLRACE_CHAOS_DURATION_MS", {
    min: 1,
    max: FAULT_US_MAX / 1000,
    default: 5_000,
    help: "how long a drawn fault lasts",
  }),
  kinds: listField("MILLRACE_CHAOS_KINDS", {
    item: new RegExp(`^(?:any|${FAULT_KINDS.join("|")})$`),
    expects: "any, or kinds of faults with commas between them",
    default: ["any"],
    help: "which faults may be drawn",
  }),
  targetsMax: wholeField("MILLRACE_CHAOS_TARGETS_MAX", {
    min: 1,
    max: 1_000,
    default: BLAST_DEFAULT.targetsMax,
    help: "members that drawn faults may hit at once",
  }),
  healthyMin: wholeField("MILLRACE_CHAOS_HEALTHY_MIN", {
    min: 0,
    max: 1_000,
    default: BLAST_DEFAULT.healthyMin,
    help: "members of a role that a drawn fault leaves whole; 0 lets it hit the only one",
  }),
  window: windowField("MILLRACE_CHAOS_WINDOW", "when faults may be drawn"),
});

export type ChaosConfig = ConfigValues<typeof fields>;
