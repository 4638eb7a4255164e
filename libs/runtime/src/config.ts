/** Configuration: read once from the environment, validated whole, frozen. */

import { hostname } from "node:os";
import { fail, ok, type Result } from "@millrace/std";
import {
  choiceField,
  type Field,
  listField,
  nameField,
  optionalField,
  secretFileField,
  textField,
  wholeField,
} from "./fields.ts";
import { LOG_LEVELS } from "./logger.ts";

export type ConfigFields = Readonly<Record<string, Field<unknown>>>;
export type ConfigValues<F extends ConfigFields> = {
  readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never;
};

/** The message has a line per wrong variable: its name, its value, what was expected. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

export const defineConfig = <const F extends ConfigFields>(fields: F): F => fields;

/** @throws ConfigError that names every wrong variable, not only the first. */
export function readConfig<F extends ConfigFields>(
  fields: F,
  env: Readonly<Record<string, string | undefined>>,
): ConfigValues<F> {
  const values: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const [key, field] of Object.entries(fields)) {
    const result = readField(field, env[field.variable] ?? "");
    if (result.ok) values[key] = Object.freeze(result.value);
    else problems.push(result.error);
  }
  if (problems.length > 0) throw new ConfigError(problems.join("\n"));
  return Object.freeze(values) as ConfigValues<F>;
}

/** An empty variable is not set: that is how compose files say it. */
function readField<T>(field: Field<T>, text: string): Result<T, string> {
  const { variable, expects, fallback } = field;
  if (text === "") {
    if (fallback !== undefined) return ok(fallback.value);
    return fail(`${variable} is not set: expected ${expects}`);
  }
  const result = field.parse(text);
  if (result.ok) return result;
  const detail = result.error === "" ? "" : ` (${result.error})`;
  return fail(`${variable} is ${JSON.stringify(text)}: expected ${expects}${detail}`);
}

export interface ConfigRow {
  readonly variable: string;
  /** Empty for none; undefined when the variable must be set. */
  readonly default: string | undefined;
  readonly expects: string;
  readonly help: string;
}

/** The rows of the configuration reference. */
export const describeConfig = (fields: ConfigFields): readonly ConfigRow[] =>
  Object.values(fields).map(({ variable, fallback, expects, help }) => ({
    variable,
    default: fallback?.text,
    expects,
    help,
  }));

/** What every service is told. */
export const commonFields = (role: string) =>
  defineConfig({
    id: {
      ...nameField("MILLRACE_ID", {
        help: "this process's name in subjects, metrics and logs; unique in the cluster",
      }),
      fallback: { value: ownId(role), text: "<role>-<host>-<pid>" },
    },
    natsServers: listField("MILLRACE_NATS_URL", {
      item: /^(?:nats|tls):\/\/[^\s,]+$/,
      expects: "nats://host:port or tls://host:port, several with commas between them",
      default: ["nats://127.0.0.1:4222"],
      help: "the NATS servers",
    }),
    natsSeed: optionalField(
      secretFileField("MILLRACE_NATS_SEED_FILE", {
        help: "file with the NKey seed of this role's NATS user",
      }),
    ),
    logLevel: choiceField("MILLRACE_LOG_LEVEL", {
      choices: LOG_LEVELS,
      default: "info",
      help: "the least severe lines that are logged",
    }),
    chaos: choiceField("MILLRACE_CHAOS", {
      choices: ["0", "1"],
      default: "0",
      help: "1 lets the chaos-monkey inject faults into this process",
    }),
    metricsHost: textField("MILLRACE_METRICS_HOST", {
      default: "127.0.0.1",
      help: "address on which /metrics and /health are served; they have no authentication",
    }),
    metricsPort: wholeField("MILLRACE_METRICS_PORT", {
      min: 0,
      max: 65_535,
      default: 0,
      help: "port for /metrics and /health; 0 turns them off",
    }),
  });

/** Unique where nobody said an id: host names may have capitals and dots, names may not. */
function ownId(role: string): string {
  const host = hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .slice(0, 32);
  return `${role}-${host}-${process.pid}`;
}
