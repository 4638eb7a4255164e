/**
 * What `millrace up` leaves for the other commands while it runs: `state.json` in its folder. The
 * environment comes first, so that the same commands reach a cluster elsewhere.
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import * as v from "valibot";
import { decodeJson } from "@millrace/protocol";

const DEFAULT_DIRECTORY = fileURLToPath(new URL("../../../.millrace", import.meta.url));

/**
 * Where `up` keeps everything: what MILLRACE_DIRECTORY says, else a folder of the checkout, with
 * one below it for an elastic day, whose history is not the cluster's own.
 */
export function upDirectory(elastic: boolean): string {
  const { MILLRACE_DIRECTORY } = process.env;
  if (MILLRACE_DIRECTORY) return resolve(MILLRACE_DIRECTORY);
  return elastic ? join(DEFAULT_DIRECTORY, "elastic") : DEFAULT_DIRECTORY;
}

/** Of the cluster that runs; of one that may be started where none does. */
export function clusterDirectory(): string {
  const own = upDirectory(false);
  const day = upDirectory(true);
  return readState(own) === undefined && readState(day) !== undefined ? day : own;
}

const stateSchema = v.object({
  /** Of the ingress: `http://127.0.0.1:8080`. */
  url: v.string(),
  /** Of every ingress, that one first. */
  urls: v.optional(v.array(v.string())),
  /** File with an API key for it; absent where anonymous access was asked for. */
  keyFile: v.optional(v.string()),
  natsUrl: v.string(),
  /** The seed of the NATS user `admin`; absent where the servers ask for none. */
  seedFile: v.optional(v.string()),
  /** Of the process that runs the cluster. */
  pid: v.number(),
});
export type ClusterState = v.InferOutput<typeof stateSchema>;

const stateFile = (directory: string): string => join(directory, "state.json");

/** Undefined where nothing runs: no file, a damaged one, or the process that wrote it is gone. */
export function readState(directory = clusterDirectory()): ClusterState | undefined {
  let text: string;
  try {
    text = readFileSync(stateFile(directory), "utf8");
  } catch {
    return undefined;
  }
  const state = decodeJson(stateSchema, text);
  return state.ok && isAlive(state.value.pid) ? state.value : undefined;
}

export function writeState(state: ClusterState, directory: string): void {
  mkdirSync(dirname(stateFile(directory)), { recursive: true });
  writeFileSync(stateFile(directory), `${JSON.stringify(state, undefined, 2)}\n`, { mode: 0o600 });
}

export function removeState(directory: string): void {
  rmSync(stateFile(directory), { force: true });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
