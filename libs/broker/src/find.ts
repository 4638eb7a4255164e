/**
 * Finds a nats-server that is new enough, and gets one where there is none: from PATH, from the
 * repository's cache, then by each of the ways of `ways.ts` until one works.
 */

import { access, chmod, constants, mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { compareVersions, isNewEnough, readVersion, SERVER_VERSION_MIN } from "./version.ts";
import { defaultWays, type Way } from "./ways.ts";

const PROGRESS_EVERY_MS = 2_000;
/** Shared by everything that runs from this checkout; git ignores it. */
const CACHE_DIRECTORY = fileURLToPath(new URL("../../../.millrace/cache", import.meta.url));

export interface FindOptions {
  /** Default: `.millrace/cache` of the repository. */
  readonly cacheDirectory?: string;
  /** Progress for people, at least every two seconds while something is being fetched. */
  readonly report?: (line: string) => void;
  /** Default: the environment's. */
  readonly path?: string;
  readonly ways?: readonly Way[];
  /** Ends whatever is being tried, and the search with it. */
  readonly signal?: AbortSignal;
}

/** Nothing worked: the message lists what was tried and what the user can do. */
export class ServerNotFoundError extends Error {
  override readonly name = "ServerNotFoundError";
}

/**
 * The path of a nats-server of at least {@link SERVER_VERSION_MIN}.
 * @throws ServerNotFoundError when there is none and none can be had.
 */
export async function findServer(options: FindOptions = {}): Promise<string> {
  const report = options.report ?? ((): void => {});
  const cacheDirectory = options.cacheDirectory ?? CACHE_DIRECTORY;
  const tried: string[] = [];
  const onPath = await searchPath(options.path ?? process.env.PATH ?? "", (line) => {
    tried.push(line);
    report(line);
  });
  if (onPath !== undefined) return onPath;
  const cached = await searchCache(cacheDirectory);
  if (cached !== undefined) return cached;
  report(`no nats-server of at least ${SERVER_VERSION_MIN} is here yet; getting one`);
  for (const way of options.ways ?? defaultWays()) {
    options.signal?.throwIfAborted();
    try {
      const path = await tryWay(way, cacheDirectory, report, options.signal);
      report(`nats-server is at ${path}`);
      return path;
    } catch (error) {
      const line = `${way.name}: ${reasonOf(error, way)}`;
      tried.push(line);
      report(line);
    }
  }
  options.signal?.throwIfAborted();
  throw new ServerNotFoundError(
    [
      `No nats-server of at least ${SERVER_VERSION_MIN} could be found or fetched:`,
      ...tried.map((line) => `  - ${line}`),
      `Put one on PATH (https://github.com/nats-io/nats-server/releases), or let Millrace use a ` +
        `running NATS: npm run up -- --servers URL --credentials DIRECTORY`,
    ].join("\n"),
  );
}

/** The first one on PATH that is new enough; says so of each that is not. */
async function searchPath(
  path: string,
  tooOld: (line: string) => void,
): Promise<string | undefined> {
  for (const directory of path.split(delimiter).filter((entry) => entry !== "")) {
    const candidate = join(directory, "nats-server");
    const version = await versionOf(candidate);
    if (version === undefined) continue;
    if (isNewEnough(version)) return candidate;
    tooOld(`${candidate} is ${version}, older than ${SERVER_VERSION_MIN}`);
  }
  return undefined;
}

/** The newest in the cache that is new enough and runs. */
async function searchCache(cacheDirectory: string): Promise<string | undefined> {
  const entries = await readdir(cacheDirectory).catch(() => []);
  const versions = entries
    .flatMap((entry) => /^nats-server-(\d+\.\d+\.\d+)$/.exec(entry)?.[1] ?? [])
    .filter(isNewEnough)
    .sort((a, b) => compareVersions(b, a));
  for (const version of versions) {
    const candidate = cachedPath(cacheDirectory, version);
    if ((await versionOf(candidate)) !== undefined) return candidate;
  }
  return undefined;
}

const cachedPath = (cacheDirectory: string, version: string): string =>
  join(cacheDirectory, `nats-server-${version}`, "nats-server");

/** Undefined where there is no such program, or it does not run. */
async function versionOf(candidate: string): Promise<string | undefined> {
  try {
    await access(candidate, constants.X_OK);
    return await readVersion(candidate);
  } catch {
    return undefined;
  }
}

/** Works in a folder beside the cache's entries, which appear whole or not at all. */
async function tryWay(
  way: Way,
  cacheDirectory: string,
  report: (line: string) => void,
  ending: AbortSignal | undefined,
): Promise<string> {
  await mkdir(cacheDirectory, { recursive: true });
  const directory = await mkdtemp(join(cacheDirectory, ".part-"));
  const startedAtMs = performance.now();
  let reportedAtMs = startedAtMs;
  const say = (line: string): void => {
    reportedAtMs = performance.now();
    report(`${way.name}: ${line}`);
  };
  const progress = setInterval(() => {
    const nowMs = performance.now();
    if (nowMs - reportedAtMs < PROGRESS_EVERY_MS) return;
    say(`still working after ${Math.round((nowMs - startedAtMs) / 1000)} s`);
  }, PROGRESS_EVERY_MS / 4);
  try {
    say("trying");
    const timeout = AbortSignal.timeout(way.limitMs);
    const signal = ending === undefined ? timeout : AbortSignal.any([timeout, ending]);
    await way.attempt({ directory, report: say, signal });
    const fetched = join(directory, "nats-server");
    await chmod(fetched, 0o755);
    const version = await readVersion(fetched);
    if (!isNewEnough(version)) {
      throw new Error(`it gave ${version}, older than ${SERVER_VERSION_MIN}`);
    }
    const path = cachedPath(cacheDirectory, version);
    await mkdir(dirname(path), { recursive: true });
    await rename(fetched, path);
    return path;
  } finally {
    clearInterval(progress);
    await rm(directory, { recursive: true, force: true });
  }
}

/** One line: a timeout, a command's last words, or the error's own message and its cause. */
function reasonOf(error: unknown, way: Way): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "AbortError" || error.name === "TimeoutError") {
    return `not done after ${way.limitMs / 1000} s`;
  }
  const { stderr } = error as { stderr?: unknown };
  const lastWords = typeof stderr === "string" ? stderr.trim().split("\n").at(-1) : undefined;
  if (lastWords) return lastWords;
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : "";
  return `${error.message}${cause}`;
}
