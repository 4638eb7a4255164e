/**
 * What is said about faults: which there are (`fault-catalogue.ts`), how one is asked for, and what
 * the chaos-monkey answers and reports. Times are Unix microseconds, spans microseconds.
 */

import * as v from "valibot";
import { fail, isName, ok, type Result } from "@millrace/std";
import { type Fault, fault } from "./errors.ts";
import { FAULT_KINDS, faultEntry, type FaultOption, type OptionValue } from "./fault-catalogue.ts";
import { checkValue } from "./json.ts";

const name = v.pipe(v.string(), v.check(isName, "not a name"));
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1));

/** A fault that nobody ends is over after this, whatever was asked for. */
export const FAULT_US_MAX = 10 * 60 * 1_000_000;
export const FAULT_TARGETS_MAX = 1_000;

/** `worker` stands for both kinds of workers. */
const targetSchema = v.union([
  v.strictObject({ id: name }),
  /** So many of the role, drawn with the seed of the command. */
  v.strictObject({
    role: name,
    count: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(FAULT_TARGETS_MAX)),
    choice: v.literal("seeded"),
  }),
  /** All of the role. */
  v.strictObject({ role: name }),
]);
export type FaultTarget = v.InferOutput<typeof targetSchema>;

export const faultSpecSchema = v.strictObject({
  kind: v.picklist(FAULT_KINDS),
  target: targetSchema,
  /** It heals by then, whoever died. */
  durationUs: v.pipe(
    v.number(),
    v.safeInteger(),
    v.minValue(1_000, "at least 1000 us"),
    v.maxValue(FAULT_US_MAX, `at most ${FAULT_US_MAX} us`),
  ),
  options: v.optional(v.record(v.string(), v.union([v.number(), v.string(), v.boolean()])), {}),
});
export type FaultSpec = v.InferOutput<typeof faultSpecSchema>;

/** What a fault may touch; beyond it, it is refused. */
export const blastSchema = v.strictObject({
  /** Members at once, those of running faults included. */
  targetsMax: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(FAULT_TARGETS_MAX)),
  /** Of a role's members. */
  fractionMax: share,
  /** Members of the role that no fault touches. */
  healthyMin: whole,
});
export type Blast = v.InferOutput<typeof blastSchema>;

/** One member, and its role keeps at least one that is whole. */
export const BLAST_DEFAULT: Blast = { targetsMax: 1, fractionMax: 0.5, healthyMin: 1 };

/** Draws of the monkey mode: kinds of the catalogue, at random times. */
export const drawingSchema = v.strictObject({
  seed: whole,
  /** Between the end of one fault and the next, exponentially distributed. */
  meanUs: v.pipe(v.number(), v.safeInteger(), v.minValue(1_000)),
  /** At least so long between the end of one and the next. */
  distanceUs: whole,
  /** Each fault lasts so long. */
  durationUs: v.pipe(v.number(), v.safeInteger(), v.minValue(1_000), v.maxValue(FAULT_US_MAX)),
  /** Absent: every kind that is available and may be drawn. */
  kinds: v.optional(v.pipe(v.array(v.picklist(FAULT_KINDS)), v.minLength(1))),
});
export type Drawing = v.InferOutput<typeof drawingSchema>;

export const chaosCommandSchema = v.variant("op", [
  v.strictObject({ v: v.literal(1), op: v.literal("list") }),
  v.strictObject({ v: v.literal(1), op: v.literal("status") }),
  /** What `inject` would do. Nothing is touched. */
  v.strictObject({
    v: v.literal(1),
    op: v.literal("plan"),
    fault: faultSpecSchema,
    blast: v.optional(blastSchema, BLAST_DEFAULT),
    seed: v.optional(whole, 0),
  }),
  v.strictObject({
    v: v.literal(1),
    op: v.literal("inject"),
    fault: faultSpecSchema,
    blast: v.optional(blastSchema, BLAST_DEFAULT),
    seed: v.optional(whole, 0),
  }),
  v.strictObject({ v: v.literal(1), op: v.literal("heal"), id: name }),
  /** Heals everything and ends the monkey mode. */
  v.strictObject({ v: v.literal(1), op: v.literal("abort"), reason: v.optional(v.string(), "") }),
  /** Begins the monkey mode; `abort` ends it. */
  v.strictObject({
    v: v.literal(1),
    op: v.literal("monkey"),
    drawing: drawingSchema,
    blast: v.optional(blastSchema, BLAST_DEFAULT),
  }),
]);
export type ChaosCommand = v.InferOutput<typeof chaosCommandSchema>;

export const FAULT_ENDS = ["healed", "expired", "target-gone"] as const;
export type FaultEnd = (typeof FAULT_ENDS)[number];

export const faultRecordSchema = v.object({
  id: name,
  kind: v.picklist(FAULT_KINDS),
  targets: v.array(name),
  injectedAtUs: whole,
  endsAtUs: whole,
});
export type FaultRecord = v.InferOutput<typeof faultRecordSchema>;

const memberSchema = v.object({
  id: name,
  role: v.string(),
  alive: v.boolean(),
  /** Of its process, where that is on the monkey's machine. */
  memory: v.optional(v.object({ pid: whole, residentBytes: whole })),
});

export const chaosReplySchema = v.variant("ok", [
  v.object({
    ok: v.literal(false),
    error: v.object({ code: v.string(), message: v.string() }),
  }),
  v.object({
    ok: v.literal(true),
    /** `list`: what there is and can be done here. */
    kinds: v.optional(
      v.array(v.object({ kind: v.picklist(FAULT_KINDS), missing: v.optional(v.string()) })),
    ),
    members: v.optional(v.array(memberSchema)),
    /** `plan`: who would be hit. */
    targets: v.optional(v.array(name)),
    /** `inject`: what runs now; `status`: all that runs, and whether the monkey mode is on. */
    fault: v.optional(faultRecordSchema),
    faults: v.optional(v.array(faultRecordSchema)),
    monkey: v.optional(v.boolean()),
    enabled: v.optional(v.boolean()),
    /** `heal` and `abort`: the ids of what was healed. */
    healed: v.optional(v.array(name)),
  }),
]);
export type ChaosReply = v.InferOutput<typeof chaosReplySchema>;

export const chaosEventSchema = v.object({
  v: v.literal(1),
  /** Rises by one; an event may come twice when a fault hits the broker. */
  number: whole,
  atUs: whole,
  event: v.picklist(["injected", "ended", "refused", "vetoed", "aborted", "began", "stopped"]),
  fault: v.optional(faultRecordSchema),
  end: v.optional(v.picklist(FAULT_ENDS)),
  /** Of one that is over: how often it acted, where that is counted. */
  acted: v.optional(whole),
  detail: v.optional(v.string()),
});
export type ChaosEvent = v.InferOutput<typeof chaosEventSchema>;

export const HOOKS = [
  "gpu-lost",
  "gpu-oom",
  "clock-skew",
  "spot-notice",
  "log-sink-blocked",
  "log-flood",
  "heal",
] as const;
export type Hook = (typeof HOOKS)[number];

/** To a hook inside a process; it ends by itself when its time is over. */
export const hookCommandSchema = v.object({
  v: v.literal(1),
  hook: v.picklist(HOOKS),
  durationUs: v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(FAULT_US_MAX)),
  options: v.optional(v.record(v.string(), v.union([v.number(), v.string(), v.boolean()])), {}),
});
export type HookCommand = v.InferOutput<typeof hookCommandSchema>;

export const hookReplySchema = v.object({ ok: v.boolean(), detail: v.optional(v.string(), "") });

/**
 * A fault with every option of its kind present and in its bounds.
 * Faults: INVALID_REQUEST naming the field, what it was and what was expected.
 */
export function checkFaultSpec(value: unknown): Result<FaultSpec, Fault> {
  const checked = checkValue(faultSpecSchema, value);
  if (!checked.ok) return checked;
  const { kind, options } = checked.value;
  const known = faultEntry(kind).options;
  const unknown = Object.keys(options).find((key) => known[key] === undefined);
  if (unknown !== undefined) {
    const names = Object.keys(known);
    const expected = names.length === 0 ? "it has none" : `expected ${names.join(", ")}`;
    return fail(fault("INVALID_REQUEST", `options.${unknown}: no option of ${kind}; ${expected}`));
  }
  const complete: Record<string, OptionValue> = {};
  for (const [key, option] of Object.entries(known)) {
    const given = options[key] ?? option.fallback;
    if (!fits(option, given)) {
      const message = `options.${key} is ${JSON.stringify(given)}: expected ${expects(option)}`;
      return fail(fault("INVALID_REQUEST", message));
    }
    complete[key] = given;
  }
  return ok({ ...checked.value, options: complete });
}

function fits(option: FaultOption, given: OptionValue): boolean {
  switch (option.type) {
    case "number":
      return typeof given === "number" && given >= option.min && given <= option.max;
    case "choice":
      return typeof given === "string" && option.choices.includes(given);
    case "flag":
      return typeof given === "boolean";
    case "text":
      return typeof given === "string" && given.length <= 256;
  }
}

/** What a value of the option has to be, in words. */
export function expects(option: FaultOption): string {
  switch (option.type) {
    case "number":
      return `a number from ${option.min} to ${option.max}`;
    case "choice":
      return `one of ${option.choices.join(", ")}`;
    case "flag":
      return "true or false";
    case "text":
      return "text of at most 256 characters";
  }
}
