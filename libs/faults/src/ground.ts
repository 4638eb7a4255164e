/**
 * The ground of faults: what a supervisor says it has started, in a file that it keeps true. What
 * is not in it is not ours, and is never touched.
 */

import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { decodeJson } from "@millrace/protocol";
import * as v from "valibot";
import { markOf } from "./processes.ts";

const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const groundMemberSchema = v.object({
  id: v.string(),
  role: v.string(),
  /** Absent between two runs. */
  process: v.optional(v.object({ pid: v.pipe(whole, v.minValue(2)), startTicks: whole })),
  /** A worker's models, by digest. */
  cacheDirectory: v.optional(v.string()),
  /** A broker's. */
  configFile: v.optional(v.string()),
  storeDirectory: v.optional(v.string()),
  zone: v.optional(v.string()),
});
export type GroundMember = v.InferOutput<typeof groundMemberSchema>;

const groundSchema = v.object({
  v: v.literal(1),
  /** Where the supervisor's own hooks listen. */
  supervisor: v.string(),
  /** Of the fault proxy; absent where there is none. */
  proxySettingsFile: v.optional(v.string()),
  members: v.pipe(v.array(groundMemberSchema), v.maxLength(1_000)),
});
export type Ground = v.InferOutput<typeof groundSchema>;

/** @throws Error naming the file, where it is missing or is none. */
export function readGround(path: string): Ground {
  const ground = decodeJson(groundSchema, readFileSync(path, "utf8"));
  if (ground.ok) return ground.value;
  throw new Error(`${path}: ${ground.error.message}`);
}

/** Roles that inject and heal: no fault may hit them. */
export const PROTECTED_ROLES: readonly string[] = ["chaos-monkey", "fault-proxy", "supervisor"];

/** The supervisor's side: written at every start and end of a member. */
export class GroundFile implements Disposable {
  readonly path: string;
  #ground: Ground;

  constructor(path: string, ground: Omit<Ground, "v">) {
    this.path = path;
    this.#ground = { v: 1, ...ground };
    this.#write();
  }

  /** The member runs as this process, or does not run. */
  update(id: string, pid: number | undefined): void {
    const mark = pid === undefined ? undefined : markOf(pid);
    const members = this.#ground.members.map((member) => {
      if (member.id !== id) return member;
      const { process: _before, ...rest } = member;
      return mark === undefined ? rest : { ...rest, process: mark };
    });
    this.#ground = { ...this.#ground, members };
    this.#write();
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { force: true });
  }

  /** Readers see the file before or after, never half of it. */
  #write(): void {
    const aside = `${this.path}.part`;
    writeFileSync(aside, `${JSON.stringify(this.#ground, undefined, 2)}\n`, { mode: 0o600 });
    renameSync(aside, this.path);
  }
}
