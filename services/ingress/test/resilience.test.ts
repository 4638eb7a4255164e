/** The broker and the scheduler go and come back; requests do not notice, or hear why. */

import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { subjects } from "@millrace/protocol";
import { binary, binaryOf, blob, echo, row, Stand, until } from "./stand.ts";

let stand: Stand;

beforeEach(async () => {
  stand = await Stand.start({ models: [echo, blob] });
});

afterEach(async () => {
  await stand[Symbol.asyncDispose]();
});

describe("a restart of the broker", () => {
  test("loses no request: those that were open are asked again", async () => {
    let asked = 0;
    // Nobody answers before the restart.
    stand.onTicket = ({ tensors }) => (asked++ < 20 ? undefined : tensors);
    const large = binary(
      { name: "x", datatype: "UINT8", shape: [50_000] },
      Buffer.alloc(50_000, 3),
    );
    const pending = Array.from({ length: 20 }, (_, at) =>
      at % 2 === 0
        ? stand.infer("echo", row(at, 0, 0, 0))
        : stand.fetch("/v2/models/blob/infer", { method: "POST", ...large }),
    );
    await until("the tickets", () => asked === 20);
    await stand.broker.restart();
    const responses = await Promise.all(pending);
    expect(responses.map(({ status }) => status)).toEqual(responses.map(() => 200));
    for (const [at, response] of responses.entries()) {
      if (at % 2 === 1) expect((await binaryOf(response)).length).toBe(50_000);
      else {
        const document = (await response.json()) as { outputs: { data: number[] }[] };
        expect(document.outputs[0]?.data[0]).toBe(at);
      }
    }
    const again = stand.seen.filter(({ ticket }) => ticket.attempt > 1);
    expect(again.length).toBeGreaterThanOrEqual(20);
  });

  test("requests that come meanwhile wait for it", async () => {
    stand.broker.kill("SIGKILL");
    await sleep(30);
    const response = await stand.infer("echo", row(1, 2, 3, 4));
    expect(response.status).toBe(200);
  });
});

describe("a scheduler that is lost", () => {
  test("and none in its place: the deadline says so", async () => {
    stand.beating = false;
    await stand.scheduler.drain();
    const startedMs = performance.now();
    const request = { ...row(1, 2, 3, 4), parameters: { timeout: 300_000 } };
    const response = await stand.infer("echo", request);
    expect(response.status).toBe(503);
    const { code } = (await response.json()) as { readonly code: string };
    expect(["NO_SCHEDULER", "DEADLINE_EXCEEDED"]).toContain(code);
    expect(performance.now() - startedMs).toBeGreaterThan(290);
    expect((await fetch(`${stand.url}/v2/health/ready`)).status).toBe(503);
    expect((await fetch(`${stand.url}/v2/health/live`)).status).toBe(200);
  });
});

describe("messages that are not understood", () => {
  test("do no harm", async () => {
    stand.onTicket = () => undefined;
    const pending = stand.infer("echo", row(1, 2, 3, 4));
    await until("the ticket", () => stand.seen.length === 1);
    const [seen] = stand.seen;
    if (seen === undefined) throw new Error("no ticket");
    for (const bytes of [[], [0], [1, 4], [1, 4, 255], [1, 5, 9], [1, 6, 1], [9, 9, 9]]) {
      stand.worker.publish(subjects.answer(seen.ingress), Uint8Array.from(bytes));
      stand.worker.publish(subjects.fetch(seen.ingress), Uint8Array.from(bytes));
      stand.worker.publish(subjects.workerHeartbeat("gpu-worker-9"), Uint8Array.from(bytes));
    }
    stand.answer(seen, seen.tensors);
    expect((await pending).status).toBe(200);
  });
});

describe("a drain", () => {
  test("answers what is open, refuses what is new, and ends", async () => {
    stand.onTicket = () => undefined;
    const pending = stand.infer("echo", row(1, 2, 3, 4));
    await until("the ticket", () => stand.seen.length === 1);
    stand.stop();
    await sleep(20);
    // The connection of before is kept alive; a new one is not taken.
    await expect(fetch(`${stand.url}/v2/health/live`)).rejects.toThrow("fetch failed");
    const [seen] = stand.seen;
    if (seen === undefined) throw new Error("no ticket");
    stand.answer(seen, seen.tensors);
    const answered = await pending;
    expect(answered.status).toBe(200);
    // Or the client would send its next request here.
    expect(answered.headers.get("connection")).toBe("close");
    await stand.ended;
  });

  test("refuses what is still being sent when it begins, and cuts nothing off", async () => {
    const body = JSON.stringify(row(1, 2, 3, 4));
    const socket = connect({ port: stand.port, host: "127.0.0.1" });
    let answer = "";
    const ended = new Promise((resolve) => socket.once("close", resolve));
    socket.setEncoding("latin1").on("data", (text: string) => (answer += text));
    socket.write(
      `POST /v2/models/echo/infer HTTP/1.1\r\nHost: here\r\nContent-Length: ${body.length}\r\n` +
        `Authorization: Bearer ${stand.key}\r\n\r\n${body.slice(0, 5)}`,
    );
    await sleep(100);
    stand.stop();
    await sleep(100);
    socket.write(body.slice(5));
    await ended;
    expect(answer).toMatch(/^HTTP\/1\.1 503 /);
    expect(answer).toContain("DRAINING");
    await stand.ended;
  });

  test("does not wait for ever", async () => {
    stand.onTicket = () => undefined;
    const pending = stand.infer("echo", row(1, 2, 3, 4));
    const failed = pending.then(
      ({ status }) => `answered with ${status}`,
      (error: unknown) => (error as Error).message,
    );
    await until("the ticket", () => stand.seen.length === 1);
    const startedMs = performance.now();
    stand.stop();
    await stand.ended;
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    expect(await failed).toBe("fetch failed");
  });
});
