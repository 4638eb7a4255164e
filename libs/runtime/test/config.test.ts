/** Configuration: types, bounds, defaults, secrets, and what an error says. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isName } from "@millrace/std";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  choiceField,
  commonFields,
  ConfigError,
  defineConfig,
  describeConfig,
  flagField,
  listField,
  nameField,
  optionalField,
  readConfig,
  secretFileField,
  textField,
  wholeField,
} from "../src/index.ts";

const fields = defineConfig({
  port: wholeField("PORT", { min: 1, max: 65_535, default: 8000, help: "where" }),
  zone: nameField("ZONE", { help: "which zone" }),
  mode: choiceField("MODE", { choices: ["fast", "safe"], default: "safe", help: "how" }),
  anonymous: flagField("ANONYMOUS", { default: false, help: "who" }),
  peers: listField("PEERS", { item: /^\d+$/, expects: "numbers", default: ["1"], help: "others" }),
  label: optionalField(textField("LABEL", { help: "a text" })),
});

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "millrace-config-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

const problemsOf = (env: Record<string, string>): string[] => {
  try {
    readConfig(fields, env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message.split("\n");
  }
  return [];
};

test("values are typed, defaults hold where nothing is set, and all is frozen", () => {
  const config = readConfig(fields, { ZONE: "eu-1", MODE: "fast", PEERS: "4, 5", LABEL: "" });
  const port: number = config.port;
  const mode: "fast" | "safe" = config.mode;
  const peers: readonly string[] = config.peers;
  const label: string | undefined = config.label;
  expect({ port, mode, peers, label, zone: config.zone, anonymous: config.anonymous }).toEqual({
    port: 8000,
    mode: "fast",
    peers: ["4", "5"],
    label: undefined,
    zone: "eu-1",
    anonymous: false,
  });
  expect(Object.isFrozen(config)).toBe(true);
  expect(Object.isFrozen(config.peers)).toBe(true);
  expect(Object.isFrozen(readConfig(fields, { ZONE: "eu-1" }).peers)).toBe(true);
});

test("every wrong variable is named with its value and what was expected", () => {
  expect(problemsOf({ PORT: "70000", MODE: "slow", ANONYMOUS: "yes", PEERS: "1,,2" })).toEqual([
    'PORT is "70000": expected a whole number from 1 to 65535',
    expect.stringMatching(/^ZONE is not set: expected 1 to 64 characters/),
    'MODE is "slow": expected one of fast, safe',
    'ANONYMOUS is "yes": expected true or false',
    'PEERS is "1,,2": expected numbers',
  ]);
});

test.each(["", " 1", "1.5", "1e3", "0x10", "-1", "0", "65536", "9".repeat(400), "NaN"])(
  "%j is no port",
  (text) => {
    const expected = text === "" ? [] : [`PORT is ${JSON.stringify(text)}: expected a whole`];
    const problems = problemsOf({ ZONE: "a", PORT: text });
    expect(problems.map((problem) => problem.slice(0, expected[0]?.length))).toEqual(expected);
  },
);

test("a secret is read from its file, and never shown", () => {
  const path = join(directory, "seed");
  writeFileSync(path, "SUAB-secret\n");
  const empty = join(directory, "empty");
  writeFileSync(empty, "\n");
  const secret = { seed: optionalField(secretFileField("SEED_FILE", { help: "the seed" })) };
  expect(readConfig(secret, {}).seed).toBeUndefined();
  expect(readConfig(secret, { SEED_FILE: path }).seed).toBe("SUAB-secret");
  expect(() => readConfig(secret, { SEED_FILE: empty })).toThrow(/readable file.*\(it is empty\)/);
  expect(() => readConfig(secret, { SEED_FILE: join(directory, "no") })).toThrow(/ENOENT/);
  expect(() => readConfig(secret, { SEED_FILE: directory })).toThrow(/EISDIR/);
  expect(JSON.stringify(describeConfig(secret))).not.toContain("SUAB");
});

test("the reference has a row per variable", () => {
  expect(describeConfig(fields).slice(0, 2)).toEqual([
    {
      variable: "PORT",
      default: "8000",
      expects: "a whole number from 1 to 65535",
      help: "where",
    },
    {
      variable: "ZONE",
      default: undefined,
      expects: expect.stringContaining("1 to 64 characters"),
      help: "which zone",
    },
  ]);
});

test("a service needs no configuration on a developer's machine", () => {
  const config = readConfig(commonFields("gpu-worker"), {});
  expect(isName(config.id)).toBe(true);
  expect(config).toMatchObject({
    natsServers: ["nats://127.0.0.1:4222"],
    natsSeed: undefined,
    logLevel: "info",
    metricsHost: "127.0.0.1",
    metricsPort: 0,
  });
  const set = readConfig(commonFields("gpu-worker"), {
    MILLRACE_ID: "gpu-worker-7",
    MILLRACE_NATS_URL: "nats://a:1,tls://b:2",
  });
  expect([set.id, set.natsServers]).toEqual(["gpu-worker-7", ["nats://a:1", "tls://b:2"]]);
  expect(() => readConfig(commonFields("x"), { MILLRACE_NATS_URL: "a:1" })).toThrow(/nats:\/\//);
  expect(() => readConfig(commonFields("x"), { MILLRACE_ID: "a.b" })).toThrow(/MILLRACE_ID is "a/);
});
