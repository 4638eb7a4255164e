/**
 * One NKey per user: the seed in a file that only its owner reads, the public key for the server's
 * configuration. The broker never holds a secret.
 */

import { randomBytes } from "node:crypto";
import { link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createUser, fromSeed } from "@nats-io/nkeys";
import { type User, USERS } from "./permissions.ts";

export interface Credential {
  readonly seedFile: string;
  /** Begins with `U`; not secret. */
  readonly publicKey: string;
}

export type Credentials = Readonly<Record<User, Credential>>;

export const seedFileOf = (directory: string, user: User): string => join(directory, `${user}.nk`);

/**
 * The users' keys in the folder, made where they are missing; keys that are there stay as they are.
 * @throws Error naming the file that holds no seed.
 */
export async function createCredentials(directory: string): Promise<Credentials> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const entries = await Promise.all(
    USERS.map(async (user) => {
      const seedFile = seedFileOf(directory, user);
      await writeOnce(seedFile, createUser().getSeed());
      return [user, { seedFile, publicKey: await readPublicKey(seedFile) }] as const;
    }),
  );
  return Object.fromEntries(entries) as Record<User, Credential>;
}

/** What the servers of a cluster know each other by: 32 random bytes in hexadecimal. */
export async function createRouteSecret(directory: string): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, "routes.secret");
  await writeOnce(path, randomBytes(32).toString("hex"));
  return (await readFile(path, "ascii")).trim();
}

/** Written aside and linked into place: two processes that start at once agree on one whole key. */
async function writeOnce(path: string, content: string | Uint8Array): Promise<void> {
  const aside = `${path}.${process.pid}`;
  await writeFile(aside, content, { mode: 0o400 });
  try {
    await link(aside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    await rm(aside, { force: true });
  }
}

async function readPublicKey(path: string): Promise<string> {
  const seed = (await readFile(path)).toString("ascii").trim();
  try {
    return fromSeed(new TextEncoder().encode(seed)).getPublicKey();
  } catch (cause) {
    throw new Error(`${path} holds no NKey seed; remove it to have a new one made`, { cause });
  }
}
