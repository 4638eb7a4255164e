/** Drill files: YAML or JSON, refused with the line and the reason before anything is touched. */

import { readFile } from "node:fs/promises";
import { type Document, isMap, isScalar, LineCounter, type Node, parseDocument } from "yaml";
import { type Drill, type Path, planDrill, type Problem, readDrill } from "@millrace/drills";
import { usageError } from "./failure.ts";

/** A drill is written by hand; what is larger is no drill. */
const FILE_BYTES_MAX = 1024 * 1024;
const SHOWN = 20;

export interface DrillFile {
  readonly path: string;
  readonly drill: Drill;
  /** As it was written. */
  readonly experiment: unknown;
}

/** @throws CommandError with a line for each thing that is wrong. */
export async function readDrillFile(path: string): Promise<DrillFile> {
  const text = await readFile(path, "utf8");
  if (text.length > FILE_BYTES_MAX) {
    throw usageError(`${path} has ${text.length} characters`, "a drill has at most 1 MiB");
  }
  return parseDrill(path, text);
}

/** The same for a text that is there already. */
export function parseDrill(path: string, text: string): DrillFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const broken = document.errors.map(({ pos, message }) => {
    return `${path}:${lines.linePos(pos[0]).line}: ${message}`;
  });
  if (broken.length > 0) throw refused(broken);
  const experiment: unknown = document.toJS({ maxAliasCount: 100 });
  const drill = readDrill(experiment);
  if (!drill.ok) throw refused(drill.error.map((one) => located(path, document, lines, one)));
  // What needs no cluster to be known: roles, and whether the method fits into the load.
  const plan = planDrill(drill.value, { seed: drill.value.seed });
  if (!plan.ok) throw refused(plan.error.map((one) => located(path, document, lines, one)));
  return { path, drill: drill.value, experiment };
}

const refused = (lines: readonly string[]): Error =>
  usageError(lines.slice(0, SHOWN).join("\n       "), "correct the file; nothing was touched");

function located(path: string, document: Document, lines: LineCounter, problem: Problem): string {
  const line = lines.linePos(offsetOf(document, problem.path)).line;
  const place = problem.path.reduce<string>(
    (said, part) => (typeof part === "number" ? `${said}[${part}]` : `${said}.${part}`),
    "",
  );
  return `${path}:${line}: ${place.replace(/^\./, "") || "the drill"}: ${problem.message}`;
}

/** Where the value begins, or its key; of what is missing, where it should be. */
function offsetOf(document: Document, path: Path): number {
  for (let length = path.length; length > 0; length--) {
    const place = path.slice(0, length);
    const parent = length === 1 ? document.contents : document.getIn(place.slice(0, -1), true);
    if (isMap(parent)) {
      const pair = parent.items.find(({ key }) => isScalar(key) && key.value === place.at(-1));
      const range = (pair?.key as Node | undefined)?.range;
      if (range) return range[0];
    }
    const node = document.getIn(place, true) as Node | undefined;
    if (node?.range) return node.range[0];
  }
  return 0;
}
