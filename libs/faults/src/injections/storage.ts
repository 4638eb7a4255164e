/** Faults of what is stored: a full disk, and a worker's cache that is damaged. */

import {
  copyFile,
  open,
  readdir,
  readFile,
  rename,
  stat,
  statfs,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { FaultError } from "@millrace/protocol";
import type { GroundMember } from "../ground.ts";
import { signalProcess } from "../processes.ts";
import type { Injection, InjectionContext } from "./injection.ts";

const DIGEST = /^[0-9a-f]{64}$/;
/** A larger file system is not filled: it may be the machine's. */
const FILL_BYTES_MAX = 1024 ** 3;
const FILL_NAME = "millrace-fault-fill";
const BLOCK = Buffer.alloc(1024 * 1024);

/** One byte in the middle of every file of the targets' caches. */
export async function corruptCache({ targets }: InjectionContext): Promise<Injection> {
  const paths: string[] = [];
  for (const { cacheDirectory } of targets) {
    if (cacheDirectory === undefined) continue;
    const names = await readdir(cacheDirectory).catch(() => []);
    paths.push(
      ...names.filter((name) => DIGEST.test(name)).map((name) => join(cacheDirectory, name)),
    );
  }
  if (paths.length === 0) {
    throw new FaultError("FAULT_NO_TARGET", "the cache of the targets holds no model");
  }
  return {
    // The cache fetches again what is missing, so nothing damaged need be mended.
    undo: paths.map((path) => ({ type: "removeFile", path })),
    begin: async () => {
      for (const path of paths) await flipByte(path);
    },
  };
}

async function flipByte(path: string): Promise<void> {
  await using file = await open(path, "r+");
  const at = Math.floor((await file.stat()).size / 2);
  const byte = Buffer.alloc(1);
  const { bytesRead } = await file.read(byte, 0, 1, at);
  if (bytesRead === 0) return;
  byte[0] = (byte[0] ?? 0) ^ 0xff;
  await file.write(byte, 0, 1, at);
}

/** Fills a small file system of the store's own; else the broker's limit is what is reached. */
export async function fillDisk(context: InjectionContext): Promise<Injection> {
  const parts = await Promise.all(
    context.targets.map(async (member) =>
      (await isSmallAndOwn(member.storeDirectory)) ? fill(context, member) : limit(context, member),
    ),
  );
  return {
    undo: parts.flatMap(({ undo }) => undo),
    begin: async () => {
      for (const { begin } of parts) await begin();
    },
  };
}

async function isSmallAndOwn(directory: string | undefined): Promise<boolean> {
  if (directory === undefined) return false;
  const { blocks, bsize } = await statfs(directory);
  const [own, parent] = await Promise.all([stat(directory), stat(dirname(directory))]);
  return own.dev !== parent.dev && blocks * bsize <= FILL_BYTES_MAX;
}

function fill({ groundFile }: InjectionContext, member: GroundMember): Injection {
  const { id, storeDirectory = "" } = member;
  const path = join(storeDirectory, FILL_NAME);
  return {
    undo: [
      { type: "removeFile", path },
      // JetStream stays stopped after a failed write until it is started again.
      { type: "signalMember", groundFile, id, signal: "SIGTERM" },
    ],
    begin: async () => {
      await using file = await open(path, "w", 0o600);
      for (let bytes = 0; bytes < FILL_BYTES_MAX; bytes += BLOCK.length) {
        const written = await file.write(BLOCK).catch((error: NodeJS.ErrnoException) => {
          if (error.code === "ENOSPC") return undefined;
          throw error;
        });
        if (written === undefined || written.bytesWritten < BLOCK.length) return;
      }
    },
  };
}

/** JetStream of the application's account takes not one byte more. */
function limit(context: InjectionContext, member: GroundMember): Injection {
  return changeConfig(context, member, (text) =>
    text.replace("jetstream: enabled", "jetstream: { max_file: 1, max_memory: -1 }"),
  );
}

/**
 * Another configuration for a broker, until it is undone. It is read again without a restart.
 * @throws FaultError where the configuration is not at hand, or has nothing to change.
 */
export function changeConfig(
  { groundFile, id }: InjectionContext,
  member: GroundMember,
  change: (text: string) => string,
): Injection {
  const { configFile: path, process } = member;
  if (path === undefined || process === undefined) {
    const message = `the configuration of ${member.id} is not at hand: only an embedded NATS's is`;
    throw new FaultError("FAULT_UNAVAILABLE", message);
  }
  const copy = `${path}.before-${id}`;
  return {
    undo: [
      { type: "restoreFile", path, copy },
      { type: "signalMember", groundFile, id: member.id, signal: "SIGHUP" },
    ],
    begin: async () => {
      const text = await readFile(path, "utf8");
      const changed = change(text);
      if (changed === text) throw new Error(`${path} has nothing to change`);
      await copyFile(path, `${copy}.part`);
      await rename(`${copy}.part`, copy);
      await writeFile(`${path}.part`, changed, { mode: 0o600 });
      await rename(`${path}.part`, path);
      signalProcess(process, "SIGHUP");
    },
  };
}
