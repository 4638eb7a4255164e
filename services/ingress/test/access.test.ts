/** Who gets in, and as whom. */

import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ConfigError } from "@millrace/runtime";
import { KeyRing, mayUse, parseKeys } from "../src/access.ts";
import { KeyFile } from "../src/key-file.ts";
import { blob, echo, row, Stand, until } from "./stand.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const DEFAULTS = { openMax: 5, perSecondMax: Infinity };

const hashOf = (key: string): string => createHash("sha256").update(key).digest("hex");
const lineOf = (id: string, secret: string, more: object = {}): string =>
  JSON.stringify({
    id,
    hash: hashOf(`mr_${id}_${secret}`),
    name: "",
    createdAt: "2026-01-01T00:00:00Z",
    ...more,
  });

describe("keys", () => {
  const parsed = parseKeys(
    [
      lineOf("a1", "secret_with-both"),
      "",
      lineOf("b2", "other", { models: ["echo"], rate: 7 }),
      "",
    ].join("\n"),
    DEFAULTS,
  );
  const ring = new KeyRing(parsed.ok ? parsed.value : new Map(), undefined);
  const present = (header: string | undefined) => ring.authenticate(header);

  test("let in who presents one, with what it may do", () => {
    expect(present("Bearer mr_a1_secret_with-both")).toEqual({
      ok: true,
      value: { client: "a1", limits: undefined, models: undefined },
    });
    const other = present("Bearer mr_b2_other");
    if (!other.ok) throw new Error(other.error.message);
    expect(other.value.limits).toEqual({ openMax: 5, perSecondMax: 7 });
    expect([mayUse(other.value, "echo"), mayUse(other.value, "blob")]).toEqual([true, false]);
  });

  test.each([
    undefined,
    "",
    "Bearer",
    "Bearer ",
    "Basic bXI6cw==",
    "bearer mr_a1_secret_with-both",
    "Bearer mr_a1_secret_with-botH",
    "Bearer mr_a1_secret_with-both ",
    "Bearer mr_a1_",
    "Bearer mr_a1",
    "Bearer mr__secret",
    "Bearer mr_b2_secret_with-both",
    "Bearer mr_c3_secret",
    "Bearer secret_with-both",
    `Bearer mr_a1_${"x".repeat(10_000)}`,
    `Bearer mr_a1_${hashOf("mr_a1_secret_with-both")}`,
  ])("let nobody in with %s", (header) => {
    expect(present(header)).toMatchObject({ ok: false, error: { code: "UNAUTHENTICATED" } });
  });

  test.each([
    ["{", "INVALID_JSON"],
    ["{}", "INVALID_REQUEST"],
    [lineOf("A", "s"), "INVALID_REQUEST"],
    [lineOf("a_b", "s"), "INVALID_REQUEST"],
    [lineOf("a", "s", { hash: "short" }), "INVALID_REQUEST"],
    [lineOf("a", "s", { rate: 0 }), "INVALID_REQUEST"],
    [lineOf("a", "s", { models: ["a.b"] }), "INVALID_REQUEST"],
    [`${lineOf("a", "s")}\n${lineOf("a", "t")}`, "INVALID_REQUEST"],
  ])("are refused as a whole with a line like %s", (text, code) => {
    expect(parseKeys(text, DEFAULTS)).toMatchObject({ ok: false, error: { code } });
  });
});

describe("the start", () => {
  let directory: string;
  const config = {
    apiKeysFile: "",
    anonymous: "off",
    httpHost: "127.0.0.1",
    clientOpenMax: 1,
    clientRateMax: 0,
  } as const;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "millrace-keys-"));
  });

  afterEach(async () => {
    await rm(directory, { recursive: true });
  });

  test("is refused without any key", async () => {
    const path = join(directory, "empty");
    await writeFile(path, "\n");
    for (const apiKeysFile of ["", path]) {
      expect(() => new KeyFile({ ...config, apiKeysFile }, silent)).toThrow(ConfigError);
    }
  });

  test("is refused with a file that is missing or wrong, and says which line", async () => {
    const path = join(directory, "keys");
    const start = () => new KeyFile({ ...config, apiKeysFile: path }, silent);
    expect(start).toThrow(/MILLRACE_API_KEYS_FILE is ".*": ENOENT/);
    await writeFile(path, `${lineOf("a", "s")}\nnonsense\n`);
    expect(start).toThrow(/line 2/);
  });

  test("keeps its keys while the file is empty for a moment, and reads it again", async () => {
    const path = join(directory, "keys");
    await writeFile(path, `${lineOf("a", "s")}\n`);
    using keys = new KeyFile({ ...config, apiKeysFile: path }, silent);
    await writeFile(path, "");
    keys.reload();
    expect(keys.ring.size).toBe(1);
    await writeFile(path, `${lineOf("a", "s")}\n${lineOf("b", "t")}\n`);
    keys.reload();
    expect(keys.ring.size).toBe(2);
  });

  test.each(["0.0.0.0", "::", "10.0.0.1", "example.com", "127.0.0.1.example.com"])(
    "is refused for anonymous clients on %s",
    (httpHost) => {
      expect(() => new KeyFile({ ...config, anonymous: "loopback", httpHost }, silent)).toThrow(
        /MILLRACE_HTTP_HOST/,
      );
    },
  );

  test.each(["127.0.0.1", "127.1.2.3", "::1", "localhost"])(
    "is allowed for anonymous clients on %s, when that is asked for by name",
    (httpHost) => {
      using keys = new KeyFile({ ...config, anonymous: "loopback", httpHost }, silent);
      expect(keys.ring.authenticate(undefined)).toMatchObject({
        ok: true,
        value: { client: "anonymous" },
      });
    },
  );
});

describe("a running ingress", () => {
  let stand: Stand;

  beforeAll(async () => {
    stand = await Stand.start({ models: [echo, blob], key: { admin: true } });
  });

  afterAll(async () => {
    await stand[Symbol.asyncDispose]();
  });

  const bearer = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });

  test("tells health to everybody and nothing else to anybody", async () => {
    for (const path of ["/v2/health/live", "/v2/health/ready"]) {
      expect((await fetch(stand.url + path)).status).toBe(200);
    }
    for (const path of ["/v2", "/v2/models/echo", "/v2/models/echo/ready", "/v2/models/none"]) {
      const response = await fetch(stand.url + path);
      expect(response.status).toBe(401);
      expect(response.headers.get("www-authenticate")).toMatch(/^Bearer/);
      expect(await response.json()).toMatchObject({ code: "UNAUTHENTICATED" });
    }
    const wrong = { method: "POST", body: JSON.stringify(row(1, 2, 3, 4)), ...bearer("mr_x_y") };
    expect((await fetch(`${stand.url}/v2/models/echo/infer`, wrong)).status).toBe(401);
  });

  test("reads a changed file again, and keeps what it has when that is wrong", async () => {
    const key = await stand.addKey("later");
    const status = async () => (await stand.fetch("/v2", bearer(key))).status;
    expect(await status()).toBe(401);
    process.emit("SIGHUP");
    expect(await status()).toBe(200);
    await writeFile(stand.keysFile, "nonsense\n", { flag: "a" });
    process.emit("SIGHUP");
    expect(await status()).toBe(200);
  });

  test("keeps a key to its models, and does not say whether others exist", async () => {
    await writeFile(stand.keysFile, "");
    stand.key = await stand.addKey("test");
    const key = await stand.addKey("narrow", { models: ["echo"] });
    // No signal: the change of the file is seen.
    const only = bearer(key);
    const seen = { now: false };
    await until("the file's change", () => {
      void stand.fetch("/v2", only).then(({ status }) => (seen.now ||= status === 200));
      return seen.now;
    });
    expect((await stand.infer("echo", row(1, 2, 3, 4), only)).status).toBe(200);
    for (const name of ["blob", "none"]) {
      expect((await stand.infer(name, row(1, 2, 3, 4), only)).status).toBe(403);
      expect((await stand.fetch(`/v2/models/${name}`, only)).status).toBe(403);
    }
    const index = await stand.fetch("/v2/repository/index", { method: "POST", ...only });
    expect(await index.json()).toMatchObject([{ name: "echo" }]);
  });

  test("keeps a key to its rate and its concurrency", async () => {
    const key = await stand.addKey("slow", { rate: 1, concurrency: 1 });
    process.emit("SIGHUP");
    const only = bearer(key);
    const responses = await Promise.all(
      [1, 2, 3].map(() => stand.infer("echo", row(1, 2, 3, 4), only)),
    );
    const statuses = responses.map(({ status }) => status).toSorted((a, b) => a - b);
    expect(statuses).toEqual([200, 429, 429]);
    const refused = responses.find(({ status }) => status === 429);
    expect(refused?.headers.get("retry-after")).toBe("1");
    expect(await refused?.json()).toMatchObject({ code: "RATE_LIMITED" });
    expect((await stand.infer("echo", row(1, 2, 3, 4))).status).toBe(200);
  });
});

describe("anonymous on loopback", () => {
  let stand: Stand;

  beforeAll(async () => {
    const env = { MILLRACE_ANONYMOUS: "loopback", MILLRACE_API_KEYS_FILE: "" };
    stand = await Stand.start({ models: [echo], env });
  });

  afterAll(async () => {
    await stand[Symbol.asyncDispose]();
  });

  const statusWith = (host: string, more: object = {}): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      request(`${stand.url}/v2`, { headers: { host, ...more } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on("error", reject)
        .end();
    });

  test("serves without a key, and a wrong key is still wrong", async () => {
    const body = JSON.stringify(row(1, 2, 3, 4));
    const url = `${stand.url}/v2/models/echo/infer`;
    expect((await fetch(url, { method: "POST", body })).status).toBe(200);
    const headers = { authorization: "Bearer mr_a_b" };
    expect((await fetch(url, { method: "POST", body, headers })).status).toBe(401);
  });

  test("serves only under a loopback name: a page that rebinds its own gets nothing", async () => {
    expect(await statusWith("localhost:8080")).toBe(200);
    expect(await statusWith("[::1]:8080")).toBe(200);
    expect(await statusWith("evil.example")).toBe(403);
    expect(await statusWith("127.0.0.1.evil.example")).toBe(403);
  });

  test("serves no page from elsewhere that posts to a loopback address", async () => {
    const statusOf = (origin: string) => statusWith("localhost:8080", { origin });
    expect(await statusOf("http://localhost:3000")).toBe(200);
    expect(await statusOf("https://[::1]")).toBe(200);
    expect(await statusOf("https://evil.example")).toBe(403);
    expect(await statusOf("http://localhost.evil.example")).toBe(403);
    expect(await statusOf("null")).toBe(403);
  });
});
