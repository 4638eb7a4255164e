/**
 * The providers of a drill's activities: Chaos Toolkit's `process` provider with this project's own
 * command, so that a file says what is done in both.
 *
 *     chaos fault KIND (--id ID | --role ROLE [--count N]) --for TIME [--option NAME=VALUE]...
 *     chaos probe METRIC [--window TIME]
 *     chaos abort
 */

import { checkFaultSpec, FAULT_KINDS, type FaultKind, type FaultTarget } from "@millrace/protocol";
import { type Act, type LoadFault, type Metric, METRICS } from "./drill.ts";
import { type Reader, spanUs } from "./reading.ts";

const WINDOW_US = 10_000_000;
const WORDS_MAX = 64;

export type Provided =
  | { readonly type: "act"; readonly act: Act }
  | { readonly type: "probe"; readonly metric: Metric; readonly windowUs: number };

/** What the provider's arguments ask for; undefined, with a problem noted, for nothing. */
export function readProvider(reader: Reader): Provided | undefined {
  const fields = reader.fields("type", "path", "arguments", "timeout");
  fields.type.choice(["process"]);
  fields.path.choice(["millrace"]);
  if (!fields.timeout.absent) fields.timeout.number(1, 3600);
  const { value } = fields.arguments;
  const words = Array.isArray(value)
    ? value.slice(0, WORDS_MAX).map(String)
    : fields.arguments.text().split(/\s+/);
  const parsed = parseWords(words);
  if (typeof parsed !== "string") return parsed;
  fields.arguments.wrong(parsed);
  return undefined;
}

/** @returns what the words ask for, or what is wrong with them. */
export function parseWords(words: readonly string[]): Provided | string {
  const [group, verb, name = ""] = words;
  if (group !== "chaos") return `${words.join(" ")}: expected chaos fault, probe or abort`;
  switch (verb) {
    case "abort":
      return words.length === 2
        ? { type: "act", act: { act: "abort" } }
        : `chaos abort takes nothing more, not ${words.slice(2).join(" ")}`;
    case "probe":
      return parseProbe(name, words.slice(3));
    case "fault":
      return parseFault(name, words.slice(3));
    case undefined:
    default:
      return `chaos ${verb ?? ""}: expected chaos fault, chaos probe or chaos abort`;
  }
}

function parseProbe(name: string, rest: readonly string[]): Provided | string {
  const metric = METRICS.find((known) => known === name);
  if (metric === undefined) return `no metric ${name}: expected ${METRICS.join(", ")}`;
  const flags = parseFlags(rest, ["--window"]);
  if (typeof flags === "string") return flags;
  const window = flags.get("--window")?.[0];
  const windowUs = window === undefined ? WINDOW_US : spanUs(window);
  if (windowUs === undefined || windowUs <= 0) return `--window ${window}: expected a time as 10s`;
  return { type: "probe", metric, windowUs };
}

function parseFault(name: string, rest: readonly string[]): Provided | string {
  const kind = FAULT_KINDS.find((known) => known === name);
  if (kind === undefined) return `no fault ${name}: expected ${FAULT_KINDS.join(", ")}`;
  const flags = parseFlags(rest, ["--id", "--role", "--count", "--for", "--option"]);
  if (typeof flags === "string") return flags;
  const span = flags.get("--for")?.[0];
  const durationUs = spanUs(span);
  if (durationUs === undefined) return `--for ${span ?? "is missing"}: expected a time as 8s`;
  const options = parseOptions(flags.get("--option") ?? []);
  if (typeof options === "string") return options;
  if (kind === "thundering-herd" || kind === "poison-input") {
    const fault = loadFault(kind, durationUs, options);
    return typeof fault === "string" ? fault : { type: "act", act: { act: "load", fault } };
  }
  const target = parseTarget(kind, flags);
  if (typeof target === "string") return target;
  const spec = checkFaultSpec({ kind, target, durationUs, options });
  if (!spec.ok) return spec.error.message;
  return { type: "act", act: { act: "inject", fault: spec.value } };
}

/** Each known flag with its values, in their order. */
function parseFlags(
  words: readonly string[],
  known: readonly string[],
): ReadonlyMap<string, readonly string[]> | string {
  const flags = new Map<string, string[]>();
  for (let at = 0; at < words.length; at += 2) {
    const [flag = "", value] = [words[at], words[at + 1]];
    if (!known.includes(flag)) return `unknown ${flag}: expected ${known.join(", ")}`;
    if (value === undefined) return `${flag} needs a value`;
    const values = flags.get(flag) ?? [];
    if (values.length > 0 && flag !== "--option") return `${flag} is given twice`;
    flags.set(flag, [...values, value]);
  }
  return flags;
}

function parseOptions(
  pairs: readonly string[],
): Record<string, string | number | boolean> | string {
  const options: Record<string, string | number | boolean> = {};
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    if (at <= 0) return `--option ${pair}: expected NAME=VALUE`;
    const text = pair.slice(at + 1);
    const isNumber = /^-?\d+(\.\d+)?$/.test(text);
    const isFlag = text === "true" || text === "false";
    options[pair.slice(0, at)] = isNumber ? Number(text) : isFlag ? text === "true" : text;
  }
  return options;
}

function parseTarget(
  kind: FaultKind,
  flags: ReadonlyMap<string, readonly string[]>,
): FaultTarget | string {
  const [id, role, count] = ["--id", "--role", "--count"].map((flag) => flags.get(flag)?.[0]);
  if (id !== undefined && role !== undefined) return "aimed at an id and at a role: give one";
  if (id !== undefined) return count === undefined ? { id } : "--count goes with --role";
  if (role === undefined) return `${kind} is aimed at nothing: give --id or --role`;
  if (count === undefined) return { role };
  const wanted = Number(count);
  if (!Number.isSafeInteger(wanted) || wanted < 1) return `--count ${count}: expected 1 or more`;
  return { role, count: wanted, choice: "seeded" };
}

function loadFault(
  kind: LoadFault["kind"],
  durationUs: number,
  options: Readonly<Record<string, string | number | boolean>>,
): LoadFault | string {
  const name = kind === "thundering-herd" ? "factor" : "share";
  const unknown = Object.keys(options).find((key) => key !== name);
  if (unknown !== undefined) return `${kind} has no option ${unknown}: expected ${name}`;
  const value = options[name] ?? (name === "factor" ? 5 : 0.05);
  const [least, most] = name === "factor" ? [1, 100] : [0, 1];
  if (typeof value !== "number" || value < least || value > most) {
    return `option ${name} is ${String(value)}: expected a number from ${least} to ${most}`;
  }
  return kind === "thundering-herd"
    ? { kind, durationUs, factor: value }
    : { kind, durationUs, share: value };
}
