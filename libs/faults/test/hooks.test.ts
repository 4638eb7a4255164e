/** Hooks inside a process, and the clock that one of them sets wrong. */

import type { Bus } from "@millrace/bus";
import { encodeJson, type HookCommand } from "@millrace/protocol";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { type HookHandler, serveHooks, skewClock } from "../src/hooks.ts";

const nothing = (): void => undefined;
const log = { debug: nothing, info: nothing, warn: nothing, error: nothing };

/** A connection with one subscription, and what is answered on it. */
class FakeConnection {
  subject = "";
  #callback: ((error: null, message: object) => void) | undefined;

  readonly bus = {
    connection: {
      subscribe: (
        subject: string,
        options: { callback: (error: null, message: object) => void },
      ) => {
        this.subject = subject;
        this.#callback = options.callback;
      },
    },
  } as unknown as Bus;

  ask(command: object): unknown {
    let answer: unknown;
    this.#callback?.(null, {
      data: encodeJson(command),
      respond: (bytes: Uint8Array) => (answer = JSON.parse(new TextDecoder().decode(bytes))),
    });
    return answer;
  }
}

const armed: string[] = [];
afterEach(() => void armed.splice(0));

const handler: HookHandler = ({ hook }) => {
  armed.push(hook);
  return () => armed.push(`end of ${hook}`);
};

function serve(handlers: Parameters<typeof serveHooks>[0]["handlers"]): FakeConnection {
  const connection = new FakeConnection();
  serveHooks({ bus: connection.bus, role: "gpu-worker", id: "g-1", handlers, log });
  return connection;
}

const command = (hook: HookCommand["hook"], durationUs = 60_000_000, options = {}) => ({
  v: 1,
  hook,
  durationUs,
  options,
});

test("a flood of lines is logged at once", () => {
  let lines = 0;
  const connection = new FakeConnection();
  const counting = { ...log, warn: () => lines++ };
  serveHooks({ bus: connection.bus, role: "ingress", id: "i-1", handlers: {}, log: counting });
  expect(connection.ask(command("log-flood"))).toEqual({ ok: true, detail: "" });
  expect(lines).toBeGreaterThan(2_000);
});

test("a hook begins when it is asked and ends when it is healed", () => {
  const connection = serve({ "gpu-oom": handler });
  expect(connection.subject).toBe("mr.chaos.hook.gpu-worker.g-1");
  expect(connection.ask(command("gpu-oom"))).toEqual({ ok: true, detail: "" });
  expect(armed).toEqual(["gpu-oom"]);
  connection.ask(command("heal", 0, { of: "gpu-oom" }));
  expect(armed).toEqual(["gpu-oom", "end of gpu-oom"]);
});

test("a hook ends by itself when its time is over, though nobody heals it", async () => {
  const connection = serve({ "gpu-oom": handler });
  connection.ask(command("gpu-oom", 20_000));
  await sleep(100);
  expect(armed).toEqual(["gpu-oom", "end of gpu-oom"]);
});

test("asked again, the one before ends first", () => {
  const connection = serve({ "gpu-oom": handler });
  connection.ask(command("gpu-oom"));
  connection.ask(command("gpu-oom"));
  expect(armed).toEqual(["gpu-oom", "end of gpu-oom", "gpu-oom"]);
  connection.ask(command("heal", 0, { of: "gpu-oom" }));
});

test("what there is no hook for is refused, and so is what cannot be", () => {
  const connection = serve({ "gpu-lost": () => "the device is real" });
  expect(connection.ask(command("clock-skew"))).toMatchObject({ ok: false });
  expect(connection.ask(command("gpu-lost"))).toEqual({ ok: false, detail: "the device is real" });
  expect(connection.ask({ v: 1, hook: "explode" })).toMatchObject({ ok: false });
});

test("a clock that is wrong is wrong in every way of asking for now, and in no other", () => {
  const skewUs = 3_600_000_000;
  const right = Date.now();
  const given = "2020-01-02T03:04:05.000Z";
  const end = skewClock(skewUs);
  try {
    expect(Date.now() - right).toBeGreaterThan(3_599_000);
    expect(new Date().getTime() - right).toBeGreaterThan(3_599_000);
    expect(new Date(given).toISOString()).toBe(given);
    expect(new Date(0).getTime()).toBe(0);
    expect(new Date() instanceof Date).toBe(true);
  } finally {
    end();
  }
  expect(Date.now() - right).toBeLessThan(60_000);
});
