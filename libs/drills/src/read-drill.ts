/**
 * A drill from its document: the part of Chaos Toolkit's experiment format that is understood here,
 * and one extension of the name `millrace`. What is not understood is refused, never ignored: a
 * drill that does less than its file says would be green for the wrong reason.
 */

import { fail, ok, type Result } from "@millrace/std";
import { type Action, type Bounds, type Drill, type Probe, UNBOUNDED } from "./drill.ts";
import { readProvider } from "./provider.ts";
import { readExtension } from "./read-extension.ts";
import { type Problem, Reader } from "./reading.ts";

const TAGS_MAX = 32;
const PROBES_MAX = 32;
/** Activities of one drill; its faults are bounded by it. */
export const ACTIVITIES_MAX = 500;
const PAUSE_US_MAX = 600_000_000;

/** @returns the drill, or everything that is wrong with its document. */
export function readDrill(document: unknown): Result<Drill, readonly Problem[]> {
  const root = Reader.of(document);
  const fields = root.fields(
    "version",
    "title",
    "description",
    "tags",
    "contributions",
    "steady-state-hypothesis",
    "method",
    "rollbacks",
    "runtime",
    "extensions",
  );
  fields.version.choice(["1.0.0"], "1.0.0");
  const title = fields.title.text();
  const description = fields.description.text();
  const tags = fields.tags.items(TAGS_MAX).map((tag) => tag.text());
  readRuntime(fields.runtime);
  const hypothesis = readHypothesis(fields["steady-state-hypothesis"]);
  if (fields.method.absent) fields.method.wrong("missing: expected a list of actions and probes");
  const method = fields.method.items(ACTIVITIES_MAX).flatMap(readActivity);
  const rollbacks = fields.rollbacks
    .items(ACTIVITIES_MAX)
    .flatMap(readActivity)
    .filter((activity) => activity.type === "action");
  const extension = readExtension(fields.extensions);
  if (root.problems.length > 0 || extension === undefined) return fail(root.problems);
  return ok({ title, description, tags, hypothesis, method, rollbacks, ...extension });
}

/** Faults are always undone, and the hypothesis is checked before and after: no other strategy. */
function readRuntime(reader: Reader): void {
  if (reader.absent) return;
  const { hypothesis, rollbacks } = reader.fields("hypothesis", "rollbacks");
  if (!hypothesis.absent) hypothesis.fields("strategy").strategy.choice(["default"]);
  if (!rollbacks.absent) rollbacks.fields("strategy").strategy.choice(["always"]);
}

function readHypothesis(reader: Reader): Drill["hypothesis"] {
  if (reader.absent) return undefined;
  const { title, probes } = reader.fields("title", "probes");
  return {
    title: title.text(),
    probes: probes
      .items(PROBES_MAX)
      .flatMap(readActivity)
      .filter((activity) => activity.type === "probe"),
  };
}

/** One action or probe; none, with a problem noted, where it is neither. */
function readActivity(reader: Reader): readonly (Action | Probe)[] {
  const fields = reader.fields("type", "name", "provider", "tolerance", "pauses", "background");
  const type = fields.type.choice(["action", "probe"]);
  const name = fields.name.text();
  const provided = readProvider(fields.provider);
  if (provided === undefined) return [];
  if (type === "probe") {
    const tolerance = readTolerance(fields.tolerance);
    if (provided.type !== "probe") {
      fields.provider.wrong("a probe needs `chaos probe`");
      return [];
    }
    const { metric, windowUs } = provided;
    return [{ type, name, metric, windowUs, tolerance }];
  }
  if (provided.type !== "act") {
    fields.provider.wrong("an action needs `chaos fault` or `chaos abort`");
    return [];
  }
  if (!fields.tolerance.absent) fields.tolerance.wrong("an action has no tolerance");
  const background = fields.background.value ?? false;
  if (typeof background !== "boolean") fields.background.wrong("expected true or false");
  const pauses = fields.pauses.absent ? undefined : fields.pauses.fields("before", "after");
  return [
    {
      type,
      name,
      what: provided.act,
      background: background === true,
      pauseBeforeUs: pauses?.before.span(0, PAUSE_US_MAX, 0) ?? 0,
      pauseAfterUs: pauses?.after.span(0, PAUSE_US_MAX, 0) ?? 0,
    },
  ];
}

/** A number is that very value; two in a list, or a `range`, are the least and the most. */
function readTolerance(reader: Reader): Bounds {
  const { value } = reader;
  if (typeof value === "number") return { min: value, max: value };
  let range = reader;
  if (!Array.isArray(value)) {
    const fields = reader.fields("type", "range");
    fields.type.choice(["range"]);
    range = fields.range;
  }
  const [min, max, ...more] = range.items(3).map((item) => item.number(-UNBOUNDED, UNBOUNDED));
  if (min === undefined || max === undefined || more.length > 0 || min > max) {
    range.wrong("expected the least and the most, as [99.9, 100]");
    return { min: 0, max: 0 };
  }
  return { min, max };
}
