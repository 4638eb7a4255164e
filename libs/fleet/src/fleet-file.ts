/**
 * The fleet file: a driver's pools, and how their members are started. YAML or JSON; everything
 * that is wrong with it is said at once, with the line where there is one, before anything starts.
 */

import * as v from "valibot";
import { LineCounter, parseDocument } from "yaml";
import { fail, isName, NAME_RULE, ok, present, type Result } from "@millrace/std";
import { LIFECYCLES } from "@millrace/protocol";
import { DockerHost, type DockerTemplate } from "./docker.ts";
import { checkPools, type FleetDriver, type Pool, poolKey } from "./driver.ts";
import { HookFleet } from "./hook.ts";
import { InstanceFleet } from "./instances.ts";
import { openKubernetes } from "./kubernetes.ts";

const name = v.pipe(v.string(), v.check(isName, `expected ${NAME_RULE}`));
const text = v.pipe(v.string(), v.nonEmpty("expected text"));
const words = v.array(v.string());
const seconds = v.pipe(v.number(), v.minValue(0.1), v.maxValue(3_600));
const poolEntries = { kind: name, zone: name, lifecycle: v.picklist(LIFECYCLES) };

const SCHEMAS = {
  docker: v.strictObject({
    /** Containers of another fleet on the same engine are left alone. */
    fleet: v.optional(name, "millrace"),
    pools: v.array(
      v.strictObject({
        ...poolEntries,
        image: text,
        args: v.optional(words, []),
        command: v.optional(words, []),
        env: v.optional(v.record(v.string(), v.string()), {}),
      }),
    ),
  }),
  kubernetes: v.strictObject({
    namespace: v.optional(text, "millrace"),
    timeoutSeconds: v.optional(seconds, 10),
    targets: v.array(
      v.strictObject({
        ...poolEntries,
        name: text,
        apiVersion: v.optional(v.pipe(v.string(), v.regex(/^[a-z0-9.-]+\/[a-z0-9]+$/)), "apps/v1"),
        plural: v.optional(text, "deployments"),
      }),
    ),
  }),
  command: v.strictObject({
    command: text,
    args: v.optional(words, []),
    timeoutSeconds: v.optional(seconds, 20),
    pools: v.array(v.strictObject(poolEntries)),
  }),
} as const;

/** The drivers that a file describes. */
export type FileDriver = keyof typeof SCHEMAS;
export type FleetFile = {
  [D in FileDriver]: { readonly driver: D } & v.InferOutput<(typeof SCHEMAS)[D]>;
}[FileDriver];

/** Every sentence of the error is one problem, as `line 4: pools.0.zone: ...`. */
export function parseFleetFile(
  driver: FileDriver,
  source: string,
): Result<FleetFile, readonly string[]> {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0) {
    return fail(
      document.errors.map(({ message, pos }) => `line ${lines.linePos(pos[0]).line}: ${message}`),
    );
  }
  const parsed = v.safeParse(SCHEMAS[driver], document.toJS({ maxAliasCount: 100 }));
  if (!parsed.success) {
    return fail(
      parsed.issues.map((issue) => {
        const path = (issue.path ?? []).map(({ key }) => key);
        const where = path.length === 0 ? "the file" : path.join(".");
        return `line ${lineOf(document, lines, path)}: ${where}: ${issue.message}`;
      }),
    );
  }
  const file = { driver, ...parsed.output } as FleetFile;
  const problems = checkPools(poolsOf(file));
  return problems.length > 0 ? fail(problems) : ok(file);
}

const poolsOf = (file: FleetFile): readonly Pool[] =>
  file.driver === "kubernetes" ? file.targets : file.pools;

/** The line of what is named, or of the nearest thing around it that is there. */
function lineOf(
  document: ReturnType<typeof parseDocument>,
  lines: LineCounter,
  path: readonly unknown[],
): number {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true) as
      | { readonly range?: readonly [number, number, number] | null }
      | undefined;
    if (node?.range) return lines.linePos(node.range[0]).line;
  }
  return 1;
}

/**
 * @param epoch of the caller's lease, for a command that wants to refuse who has lost it.
 * @throws Error where Kubernetes is asked for and no cluster is configured.
 */
export async function openFleet(
  file: FleetFile,
  nowUs: () => number,
  epoch?: () => number | undefined,
): Promise<FleetDriver> {
  switch (file.driver) {
    case "docker": {
      const { fleet, pools } = file;
      const templates = new Map(pools.map((pool) => [poolKey(pool), pool]));
      const templateOf = (pool: Pool): DockerTemplate =>
        present(templates.get(poolKey(pool)), "the driver has the file's pools and no others");
      return new InstanceFleet({ host: new DockerHost({ fleet, templateOf }), pools, nowUs });
    }
    case "kubernetes": {
      const { namespace, targets, timeoutSeconds } = file;
      return openKubernetes({ namespace, targets, timeoutMs: timeoutSeconds * 1000 });
    }
    case "command": {
      const { args, command, pools, timeoutSeconds } = file;
      const timeoutMs = timeoutSeconds * 1000;
      return new HookFleet({ command, args, pools, timeoutMs, ...(epoch && { epoch }) });
    }
  }
}
