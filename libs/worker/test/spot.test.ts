/** Notices that a machine is taken away: read as each provider gives them, and nothing else. */

import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import type { Log } from "@millrace/std";
import { ANSWER_BYTES_MAX } from "../src/spot/ask.ts";
import { noticeReader, SPOT_PROVIDERS, type SpotProvider } from "../src/spot/providers.ts";
import { dueNotice, NoticeWatcher } from "../src/spot/watcher.ts";
import { Metadata } from "./metadata.ts";

const services: Metadata[] = [];

afterEach(async () => {
  for (const service of services.splice(0)) await service[Symbol.asyncDispose]();
});

async function serve(provider: SpotProvider) {
  const service = await Metadata.start(provider);
  services.push(service);
  return { service, read: noticeReader(provider, service.url) };
}

const NOTHING = { ok: true, value: undefined };

describe("AWS", () => {
  test("announces an action and its time, behind a token that is kept", async () => {
    const { read, service } = await serve("aws");
    expect(await read()).toEqual(NOTHING);
    service.action = { action: "terminate", time: "2026-03-01T08:22:00Z" };
    const atMs = Date.UTC(2026, 2, 1, 8, 22);
    expect(await read()).toEqual({ ok: true, value: { action: "terminate", atMs } });
    expect(service.tokens).toHaveLength(1);
  });

  test("gives a new token for one that is refused", async () => {
    const { read, service } = await serve("aws");
    await read();
    service.expireTokens();
    expect(await read()).toEqual(NOTHING);
    expect(service.tokens).toHaveLength(1);
  });

  test("is not believed with an action or a time that there is none of", async () => {
    const { read, service } = await serve("aws");
    for (const action of [
      { action: "dance", time: "2026-03-01T08:22:00Z" },
      { action: "terminate", time: "soon" },
      { action: "terminate", time: "" },
    ]) {
      service.action = action;
      expect(await read()).toMatchObject({ ok: false });
    }
  });

  test("cannot put anything into the next request's header", async () => {
    const { read, service } = await serve("aws");
    service.hostile = (_request, response) => response.end("token\r\nhost: elsewhere");
    expect(await read()).toMatchObject({ ok: false });
    expect(service.asked).toBe(1);
  });
});

describe("Google Cloud", () => {
  test("announces a preemption thirty seconds ahead, counted from when it was seen", async () => {
    const { read, service } = await serve("gcp");
    expect(await read()).toEqual(NOTHING);
    service.preempted = "TRUE";
    const before = Date.now();
    const first = await read();
    expect(first).toMatchObject({ ok: true, value: { action: "preempted" } });
    if (!first.ok || first.value === undefined) throw new Error("there is a notice");
    expect(first.value.atMs - 30_000).toBeGreaterThanOrEqual(before);
    expect(first.value.atMs - 30_000).toBeLessThanOrEqual(Date.now());
    await sleep(5);
    expect(await read()).toEqual(first);
  });

  test("announces the end of a host, and not its migration", async () => {
    const { read, service } = await serve("gcp");
    service.maintenance = "MIGRATE_ON_HOST_MAINTENANCE";
    expect(await read()).toEqual(NOTHING);
    service.maintenance = "TERMINATE_ON_HOST_MAINTENANCE";
    expect(await read()).toMatchObject({ value: { action: "TERMINATE_ON_HOST_MAINTENANCE" } });
  });

  test("is not believed without its own header: a proxy may answer in its place", async () => {
    const { read, service } = await serve("gcp");
    service.hostile = (_request, response) => response.end("TRUE");
    expect(await read()).toMatchObject({ ok: false });
  });
});

describe("Azure", () => {
  const event = (EventType: string, Resources: string[], NotBefore: string) => ({
    EventId: "A",
    EventType,
    ResourceType: "VirtualMachine",
    Resources,
    EventStatus: "Scheduled",
    NotBefore,
  });

  test("announces the earliest event that names this machine and ends it", async () => {
    const { read, service } = await serve("azure");
    expect(await read()).toEqual(NOTHING);
    service.events = [
      event("Freeze", ["worker_1"], "Mon, 02 Mar 2026 08:00:00 GMT"),
      event("Preempt", ["worker_2"], "Mon, 02 Mar 2026 08:01:00 GMT"),
      event("Reboot", ["worker_1"], "Mon, 02 Mar 2026 09:00:00 GMT"),
      event("Preempt", ["worker_2", "worker_1"], "Mon, 02 Mar 2026 08:30:00 GMT"),
    ];
    const atMs = Date.UTC(2026, 2, 2, 8, 30);
    expect(await read()).toEqual({ ok: true, value: { action: "Preempt", atMs } });
  });

  test("means now by an event without a time, and nothing by a time that is none", async () => {
    const { read, service } = await serve("azure");
    service.events = [event("Preempt", ["worker_1"], "")];
    const reading = await read();
    if (!reading.ok || reading.value === undefined) throw new Error("there is a notice");
    expect(Math.abs(reading.value.atMs - Date.now())).toBeLessThan(1_000);
    service.events = [event("Preempt", ["worker_1"], "soon")];
    expect(await read()).toMatchObject({ ok: false });
  });
});

describe.each(SPOT_PROVIDERS)("a metadata service of %s", (provider) => {
  test("that redirects is not followed", async () => {
    const { read, service } = await serve(provider);
    service.hostile = (_request, response) =>
      response.writeHead(302, { location: `${service.url}/elsewhere` }).end();
    expect(await read()).toMatchObject({ ok: false });
    expect(service.asked).toBe(1);
  });

  test("that answers without an end is cut off by its size", async () => {
    const { read, service } = await serve(provider);
    service.hostile = (_request, response) => {
      const write = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(8_192)));
      };
      response.on("drain", write);
      write();
    };
    const reading = await read();
    expect(reading).toMatchObject({ ok: false });
    expect(!reading.ok && reading.error).toContain(`${ANSWER_BYTES_MAX} bytes`);
  });

  test("that says nothing, or a byte at a time, is given up after a second", async () => {
    const { read, service } = await serve(provider);
    service.hostile = (_request, response) => {
      const timer = setInterval(() => response.write(" "), 50);
      response.on("close", () => clearInterval(timer));
    };
    const startedAt = performance.now();
    expect(await read()).toMatchObject({ ok: false });
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });

  test("that answers with an error, with HTML or with nothing announces nothing", async () => {
    const { read, service } = await serve(provider);
    for (const [status, text] of [
      [500, "oops"],
      [200, "<html>log in</html>"],
      [200, ""],
      [200, "null"],
      [403, ""],
    ] as const) {
      service.hostile = (_request, response) => response.writeHead(status).end(text);
      expect(await read()).toMatchObject({ ok: false });
    }
    service.hostile = (request) => request.socket.destroy();
    expect(await read()).toMatchObject({ ok: false });
    service.hostile = undefined;
    expect(await read()).toEqual(NOTHING);
  });
});

describe("a notice", () => {
  const notice = (inMs: number) =>
    dueNotice({ action: "terminate", atMs: 1_000_000 + inMs }, 1_000_000);

  test("is due two minutes ahead", () => {
    expect(notice(120_001)).toBeUndefined();
    expect(notice(120_000)).toEqual({ action: "terminate", leftMs: 120_000 });
    expect(notice(30_000)).toEqual({ action: "terminate", leftMs: 30_000 });
  });

  test("for a moment that is past still gives time to drain: a clock may be wrong", () => {
    expect(notice(-7_200_000)).toEqual({ action: "terminate", leftMs: 5_000 });
    expect(notice(1)).toEqual({ action: "terminate", leftMs: 5_000 });
  });
});

describe("the watcher", () => {
  async function watch(provider: SpotProvider) {
    const { read, service } = await serve(provider);
    const lines: string[] = [];
    const write = (_fields: object, message: string): number => lines.push(message);
    const log: Log = { debug: write, info: write, warn: write, error: write };
    const outcomes: string[] = [];
    const counted = (outcome: string): number => outcomes.push(outcome);
    const watcher = new NoticeWatcher({ read, everyMs: 5, log, counted });
    return { lines, outcomes, service, watcher };
  }
  const inSeconds = (seconds: number): string =>
    new Date(Date.now() + seconds * 1000).toISOString();

  test("says when the drain has to begin, through answers that it cannot read", async () => {
    const { lines, outcomes, service, watcher } = await watch("aws");
    service.hostile = (_request, response) => response.writeHead(500).end();
    const due = watcher.due(new AbortController().signal);
    while (service.asked < 5) await sleep(5);
    service.action = { action: "stop", time: inSeconds(60) };
    service.hostile = undefined;
    expect(await due).toMatchObject({ action: "stop" });
    expect(lines).toEqual(["spot notices cannot be read", "spot notices can be read"]);
    expect(outcomes.slice(0, 4)).toEqual(Array<string>(4).fill("unreadable"));
    expect(outcomes.at(-1)).toBe("notice");
  });

  test("waits with a notice that is an hour ahead", async () => {
    const { service, watcher } = await watch("aws");
    service.action = { action: "terminate", time: inSeconds(3_600) };
    const ending = new AbortController();
    const due = watcher.due(ending.signal);
    while (service.asked < 5) await sleep(5);
    ending.abort();
    expect(await due).toBeUndefined();
  });

  test("keeps a process from joining on a machine that is taken away, and no other", async () => {
    const { lines, service, watcher } = await watch("gcp");
    await watcher.clear(new AbortController().signal);
    service.preempted = "TRUE";
    let joined = false;
    const clear = watcher.clear(new AbortController().signal).then(() => (joined = true));
    while (service.asked < 10) await sleep(5);
    expect(joined).toBe(false);
    service.preempted = "FALSE";
    await clear;
    expect(lines).toEqual(["this machine is taken away: the worker waits"]);
  });
});
