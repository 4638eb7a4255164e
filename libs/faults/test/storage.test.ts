/** Faults of files, and of the broker's configuration, on files of the test's own. */

import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { renderServerConfig, USERS } from "@millrace/broker";
import { undo } from "../src/healer/actions.ts";
import { replaceKeys, revokeCredentials } from "../src/injections/credentials.ts";
import type { InjectionContext } from "../src/injections/injection.ts";
import { corruptCache } from "../src/injections/storage.ts";
import type { GroundMember } from "../src/ground.ts";
import { GroundFile, readGround } from "../src/ground.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-storage-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

const context = (targets: readonly GroundMember[], members = targets): InjectionContext =>
  ({
    id: "f-1",
    spec: { kind: "corrupt-cache", target: { id: "x" }, durationUs: 1_000_000, options: {} },
    targets,
    groundFile: join(directory, "ground.json"),
    ground: { v: 1, supervisor: "test", members: [...members] },
  }) as unknown as InjectionContext;

test("every file of a cache is damaged in one byte, and gone when it is undone", async () => {
  const cacheDirectory = join(directory, "cache");
  await mkdir(cacheDirectory);
  const files = [Buffer.from("one model"), Buffer.from("another")];
  for (const bytes of files) await writeFile(join(cacheDirectory, sha256(bytes)), bytes);
  await writeFile(join(cacheDirectory, "notes"), "not a model");
  const injection = await corruptCache(context([{ id: "w", role: "gpu-worker", cacheDirectory }]));
  await injection.begin();
  for (const bytes of files) {
    const damaged = await readFile(join(cacheDirectory, sha256(bytes)));
    const differing = bytes.filter((byte, at) => byte !== damaged[at]);
    expect([damaged.length, differing.length]).toEqual([bytes.length, 1]);
  }
  for (const action of injection.undo) await undo(action);
  expect(await readdir(cacheDirectory)).toEqual(["notes"]);
});

test("an empty cache is nobody to hit", async () => {
  const empty = context([{ id: "w", role: "gpu-worker", cacheDirectory: directory }]);
  await expect(corruptCache(empty)).rejects.toMatchObject({ fault: { code: "FAULT_NO_TARGET" } });
});

const KEYS = Object.fromEntries(
  USERS.map((user) => [
    user,
    `U${user
      .toUpperCase()
      .replace(/[^A-Z]/g, "")
      .padEnd(55, "A")}`,
  ]),
) as Parameters<typeof renderServerConfig>[0]["publicKeys"];
const CONFIG = renderServerConfig({ publicKeys: KEYS, storeDirectory: "/store", port: 4222 });

test("of the broker's users only those that are meant lose their key", () => {
  const changed = replaceKeys(CONFIG, new Set(["cpu-worker"])).split("\n");
  const differing = CONFIG.split("\n").filter((line, at) => line !== changed[at]);
  expect(differing.map((line) => line.trim())).toEqual([`nkey: ${KEYS["cpu-worker"]}`]);
});

test("the configuration is as before once it is undone, also twice, also unbegun", async () => {
  const configFile = join(directory, "nats.conf");
  await writeFile(configFile, CONFIG);
  // A process that ended long ago: it gets no signal.
  const mark = { pid: 2 ** 22 + 1, startTicks: 1 };
  const broker = { id: "nats-1", role: "nats", configFile, process: mark };
  using ground = new GroundFile(join(directory, "ground.json"), {
    supervisor: "test",
    members: [broker],
  });
  ground.update("nobody", 1);
  const worker = { id: "w", role: "cpu-worker" };
  const injection = revokeCredentials(context([worker], [broker, worker]));
  const undoAll = async (): Promise<void> => {
    for (const action of injection.undo) await undo(action);
  };
  await undoAll();
  expect(await readFile(configFile, "utf8")).toBe(CONFIG);
  await injection.begin();
  expect(await readFile(configFile, "utf8")).not.toBe(CONFIG);
  await undoAll();
  await undoAll();
  expect(await readFile(configFile, "utf8")).toBe(CONFIG);
  expect((await readdir(directory)).toSorted()).toEqual(["ground.json", "nats.conf"]);
});

test("the ground file says who runs, and is gone with its supervisor", async () => {
  const path = join(directory, "ground.json");
  const members = [{ id: "w", role: "gpu-worker" }];
  {
    using ground = new GroundFile(path, { supervisor: "test", members });
    ground.update("w", process.pid);
    expect(readGround(path).members[0]?.process?.pid).toBe(process.pid);
    ground.update("w", undefined);
    expect(readGround(path).members).toEqual(members);
  }
  expect(() => readGround(path)).toThrow("ENOENT");
});
