/** What a measurement was made with. */

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Bus } from "@millrace/bus";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** @returns the versions of Millrace, Node and NATS, and the commit where there is one. */
export async function readVersions(bus: Bus): Promise<Readonly<Record<string, string>>> {
  return {
    node: process.version,
    nats: bus.connection.info?.version ?? "unknown",
    commit: await readCommit(),
  };
}

async function readCommit(): Promise<string> {
  const git = (...words: readonly string[]) => promisify(execFile)("git", words, { cwd: ROOT });
  try {
    const [{ stdout: commit }, { stdout: changes }] = await Promise.all([
      git("rev-parse", "--short=12", "HEAD"),
      git("status", "--porcelain"),
    ]);
    return changes.trim() === "" ? commit.trim() : `${commit.trim()}, with changes`;
  } catch {
    return "no git checkout";
  }
}
