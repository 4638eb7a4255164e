/** Requests that are served: every form, every size, each with its own answer. */

import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { traceOf } from "@millrace/protocol";
import { binary, binaryOf, blob, echo, row, Stand, until } from "./stand.ts";

let stand: Stand;

beforeAll(async () => {
  stand = await Stand.start({ models: [echo, blob], key: { concurrency: 2000 } });
});

afterAll(async () => {
  await stand[Symbol.asyncDispose]();
});

beforeEach(() => {
  stand.onTicket = ({ tensors }) => tensors;
  stand.seen.length = 0;
  stand.cancels.length = 0;
});

const floats = (...values: number[]): Uint8Array => new Uint8Array(new Float32Array(values).buffer);

describe("forms", () => {
  test("JSON in, JSON out, with who answered and on what", async () => {
    const response = await stand.infer("echo", { ...row(1, 2, 3, 4), id: "mine" });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      id: "mine",
      model_name: "echo",
      model_version: "1",
      outputs: [{ name: "y", datatype: "FP32", shape: [1, 4], data: [1, 2, 3, 4] }],
    });
    expect(response.headers.get("millrace-worker")).toBe("gpu-worker-1");
    expect(response.headers.get("millrace-device")).toBe("emulated");
    expect(response.headers.get("millrace-request-id")).toMatch(/^ingress-1-[0-9a-f]{8}-\d+$/);
    expect(response.headers.get("content-type")).toBe("application/json");
  });

  test("binary in, binary out", async () => {
    const bytes = floats(1, -2, 0.5, NaN);
    const request = binary({ name: "x", datatype: "FP32", shape: [1, 4] }, bytes);
    const path = "/v2/models/echo/versions/1/infer";
    const response = await stand.fetch(path, { method: "POST", ...request });
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    expect(new Uint8Array(await binaryOf(response))).toEqual(bytes);
  });

  test("a raw tensor in, a binary tensor out", async () => {
    const response = await stand.fetch("/v2/models/echo/infer", {
      method: "POST",
      headers: { "inference-header-content-length": "0" },
      body: new Uint8Array(floats(1, 2, 3, 4, 5, 6, 7, 8)),
    });
    expect([...new Float32Array((await binaryOf(response)).buffer.slice(-32))]).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8,
    ]);
    expect(stand.seen[0]?.ticket.rows).toBe(2);
  });

  test("JSON under a content type of bytes, as Triton's asyncio client sends it", async () => {
    const headers = { "content-type": "application/octet-stream" };
    expect((await stand.infer("echo", row(1, 2, 3, 4), { headers })).status).toBe(200);
  });

  test("a chunked body", async () => {
    const text = JSON.stringify(row(1, 2, 3, 4));
    const body = new ReadableStream({
      start(controller) {
        for (const letter of text) controller.enqueue(Buffer.from(letter));
        controller.close();
      },
    });
    const init = { method: "POST", body, duplex: "half" } as RequestInit;
    expect((await stand.fetch("/v2/models/echo/infer", init)).status).toBe(200);
  });

  test("a client that asks before it sends its body", async () => {
    const body = JSON.stringify(row(1, 2, 3, 4));
    const socket = connect(stand.port, "127.0.0.1");
    let received = "";
    socket.on("data", (data) => (received += data.toString()));
    socket.write(
      `POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${stand.key}\r\n` +
        `Content-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n`,
    );
    await until("100 Continue", () => received.includes("100 Continue"));
    socket.write(body);
    await until("an answer", () => received.includes('"outputs"'));
    expect(received).toContain("200 OK");
    socket.destroy();
  });
});

describe("what a ticket says", () => {
  test("priority, time left, rows, and the client's trace", async () => {
    const trace = "0af7651916cd43dd8448eb211c80319c";
    const request = { ...row(1, 2, 3, 4), parameters: { priority: "realtime", timeout: 700_000 } };
    const headers = { traceparent: `00-${trace}-b7ad6b7169203331-01` };
    await stand.infer("echo", request, { headers });
    const { ticket, model, ingress } = stand.seen[0] ?? {};
    expect(model).toBe("echo@1");
    expect(ingress).toMatch(/^ingress-1-[0-9a-f]{8}$/);
    expect(ticket).toMatchObject({ attempt: 1, tier: 0, hedge: false, remote: false, rows: 1 });
    expect(ticket?.remainingUs).toBeGreaterThan(500_000);
    expect(ticket?.remainingUs).toBeLessThanOrEqual(700_000);
    expect(Buffer.from(traceOf(ticket?.tail ?? new Uint8Array(16))).toString("hex")).toBe(trace);
  });

  test("the default deadline and a trace of its own", async () => {
    await stand.infer("echo", row(1, 2, 3, 4));
    await stand.infer("echo", row(1, 2, 3, 4));
    const [first, second] = stand.seen.map(({ ticket }) => traceOf(ticket.tail).toString());
    expect(first).not.toBe(second);
    expect(stand.seen[0]?.ticket.remainingUs).toBeGreaterThan(9_000_000);
    expect(stand.seen[0]?.ticket.tier).toBe(1);
  });
});

describe("large tensors", () => {
  test.each([16_300, 16_400, 600_000, 3_000_000])("%i bytes there and back", async (size) => {
    const bytes = Buffer.alloc(size, "some text of no common length, ");
    const request = binary({ name: "x", datatype: "UINT8", shape: [size] }, bytes);
    const response = await stand.fetch("/v2/models/blob/infer", { method: "POST", ...request });
    expect(response.status).toBe(200);
    expect((await binaryOf(response)).equals(bytes)).toBe(true);
    expect(stand.seen[0]?.ticket.remote).toBe(size > 16_384 - 12);
  });

  test("many at once, each with its own answer", async () => {
    const sizes = Array.from({ length: 24 }, (_, at) => 100_000 + at * 50_000);
    const answers = await Promise.all(
      sizes.map(async (size, at) => {
        const bytes = Buffer.alloc(size, `request ${at} `);
        const request = binary({ name: "x", datatype: "UINT8", shape: [size] }, bytes);
        const response = await stand.fetch("/v2/models/blob/infer", { method: "POST", ...request });
        return (await binaryOf(response)).equals(bytes);
      }),
    );
    expect(answers).toEqual(sizes.map(() => true));
  });
});

test("I2: any concurrent requests get their own outputs, poison among them", async () => {
  stand.onTicket = ({ tensors }) => {
    const values = new Float32Array(new Uint8Array(tensors[0]?.bytes ?? []).buffer);
    return values.includes(-1) ? "INPUT_REJECTED" : tensors;
  };
  const cell = fc.integer({ min: -1, max: 1_000_000 });
  const rows = fc.array(fc.tuple(cell, cell, cell, cell), { minLength: 1, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(rows, async (requests) => {
      const outcomes = await Promise.all(
        requests.map(async (values) => {
          const response = await stand.infer("echo", row(...values));
          const document = (await response.json()) as {
            readonly code?: string;
            readonly outputs?: readonly { readonly data: readonly number[] }[];
          };
          return document.code ?? document.outputs?.[0]?.data;
        }),
      );
      expect(outcomes).toEqual(
        requests.map((values) => (values.includes(-1) ? "INPUT_REJECTED" : values)),
      );
    }),
    { numRuns: 20 },
  );
});

describe("answers that fail", () => {
  test("a lost worker is retried, and the client sees nothing of it", async () => {
    stand.onTicket = ({ ticket, tensors }) => (ticket.attempt === 1 ? "WORKER_LOST" : tensors);
    expect((await stand.infer("echo", row(1, 2, 3, 4))).status).toBe(200);
    expect(stand.seen.map(({ ticket }) => ticket.attempt)).toEqual([1, 2]);
  });

  test.each([
    ["INPUT_REJECTED", 400],
    ["QUEUE_FULL", 503],
    ["NO_DEVICE", 503],
    ["OUTPUT_TOO_LARGE", 500],
  ] as const)("%s is %i in the error form", async (code, status) => {
    stand.onTicket = () => code;
    const response = await stand.infer("echo", row(1, 2, 3, 4));
    expect(response.status).toBe(status);
    expect(response.headers.get("retry-after")).toBe(status === 503 ? "1" : null);
    expect(await response.json()).toEqual({ error: `${code} it is`, code });
  });

  test("outputs that are not the model's are a defect, not a response", async () => {
    stand.onTicket = () => [];
    const response = await stand.infer("echo", row(1, 2, 3, 4));
    expect(response.status).toBe(500);
    expect(await response.json()).toMatchObject({ code: "INTERNAL" });
  });

  test("no answer ends at the deadline", async () => {
    stand.onTicket = () => undefined;
    const startedMs = performance.now();
    const request = { ...row(1, 2, 3, 4), parameters: { timeout: 150_000 } };
    const response = await stand.infer("echo", request);
    const tookMs = performance.now() - startedMs;
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ code: "DEADLINE_EXCEEDED" });
    expect(tookMs).toBeGreaterThanOrEqual(149);
    expect(tookMs).toBeLessThan(400);
  });

  test("a predicted miss is refused at once, with the time to come again", async () => {
    stand.loads = [
      { ref: "echo@1", queuedRows: 1, waitUs: 5_000_000, computeUs: 1_000, rowsPerSecond: 1 },
    ];
    await sleep(100);
    const request = { ...row(1, 2, 3, 4), parameters: { timeout: 1_000_000 } };
    const response = await stand.infer("echo", request);
    stand.loads = [{ ref: "echo@1", queuedRows: 0, waitUs: 0, computeUs: 1_000, rowsPerSecond: 0 }];
    await sleep(100);
    expect(await response.json()).toMatchObject({ code: "DEADLINE_UNREACHABLE" });
    expect(response.headers.get("retry-after")).toBe("5");
    expect(stand.seen).toEqual([]);
  });

  test("parts of an answer that are lost are a lost worker: retried", async () => {
    const size = 800_000;
    stand.onTicket = (seen) => {
      if (seen.ticket.attempt > 1) return seen.tensors;
      // The announcement without the parts.
      const { worker } = stand;
      const publish = worker.publish.bind(worker);
      let sent = 0;
      worker.publish = (subject, bytes) => (sent++ < 2 ? true : publish(subject, bytes));
      stand.answer(seen, seen.tensors);
      worker.publish = publish;
      return undefined;
    };
    const bytes = Buffer.alloc(size, 7);
    const request = binary({ name: "x", datatype: "UINT8", shape: [size] }, bytes);
    const response = await stand.fetch("/v2/models/blob/infer", { method: "POST", ...request });
    expect(response.status).toBe(200);
    expect((await binaryOf(response)).equals(bytes)).toBe(true);
    expect(stand.seen.map(({ ticket }) => ticket.attempt)).toEqual([1, 2]);
  });
});

describe("a client that goes away", () => {
  test("takes its request out of the scheduler's queue", async () => {
    stand.onTicket = () => undefined;
    const leaving = new AbortController();
    const pending = stand.infer("echo", row(1, 2, 3, 4), { signal: leaving.signal });
    await until("the ticket", () => stand.seen.length === 1);
    leaving.abort();
    await expect(pending).rejects.toThrow("aborted");
    await until("the cancellation", () => stand.cancels.length === 1);
    expect(stand.cancels[0]).toMatchObject({
      model: "echo@1",
      seqs: [stand.seen[0]?.ticket.seq],
    });
  });

  test("also takes the pipelined ones behind it", async () => {
    stand.onTicket = () => undefined;
    const body = JSON.stringify(row(1, 2, 3, 4));
    const request =
      `POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${stand.key}\r\n` +
      `Content-Length: ${body.length}\r\n\r\n${body}`;
    const socket = connect(stand.port, "127.0.0.1");
    socket.write(request + request + request);
    await until("three tickets", () => stand.seen.length === 3);
    socket.destroy();
    const cancelled = (): readonly number[] => stand.cancels.flatMap(({ seqs }) => seqs);
    await until("three cancellations", () => cancelled().length === 3);
    expect(new Set(cancelled())).toEqual(new Set(stand.seen.map(({ ticket }) => ticket.seq)));
  });
});

test("pipelined requests are answered in their order, whatever that of the results", async () => {
  const waiting: (() => void)[] = [];
  stand.onTicket = (seen) => {
    waiting.unshift(() => stand.answer(seen, seen.tensors));
    if (waiting.length === 3) for (const answer of waiting) answer();
    return undefined;
  };
  const socket = connect(stand.port, "127.0.0.1");
  let received = "";
  socket.on("data", (data) => (received += data.toString()));
  for (const first of [1, 2, 3]) {
    const body = JSON.stringify(row(first, 0, 0, 0));
    socket.write(
      `POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${stand.key}\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body}`,
    );
  }
  await until("three answers", () => received.split('"outputs"').length === 4);
  socket.destroy();
  expect([...received.matchAll(/"data":\[(\d),/g)].map(([, first]) => first)).toEqual([
    "1",
    "2",
    "3",
  ]);
});
