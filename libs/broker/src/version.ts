/** Which nats-server is new enough, and which one is fetched where there is none. */

import { execFile } from "node:child_process";
import { promisify } from "node:util";

/**
 * Older servers have published ways around authorisation (advisories 2026-16 and 2026-18, fixed in
 * 2.12.7), and before 2.9.16 never notice a frozen client that is being sent to.
 */
export const SERVER_VERSION_MIN = "2.12.7";
/** What is downloaded or built. */
export const SERVER_VERSION = "2.14.5";

const VERSION_MS_MAX = 5_000;

/** The version that a nats-server prints of itself: `2.14.5`. @throws when it is no nats-server. */
export async function readVersion(serverPath: string): Promise<string> {
  const { stdout } = await promisify(execFile)(serverPath, ["--version"], {
    timeout: VERSION_MS_MAX,
  });
  const version = /^nats-server: v(\d+\.\d+\.\d+)/.exec(stdout)?.[1];
  if (version === undefined) throw new Error(`${serverPath} --version says ${stdout.trim()}`);
  return version;
}

/** Negative, zero or positive as `a` is older than, equal to or newer than `b`. */
export function compareVersions(a: string, b: string): number {
  const left = a.split(".").map(Number);
  const right = b.split(".").map(Number);
  for (let at = 0; at < 3; at++) {
    const difference = (left[at] ?? 0) - (right[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

export const isNewEnough = (version: string): boolean =>
  compareVersions(version, SERVER_VERSION_MIN) >= 0;
