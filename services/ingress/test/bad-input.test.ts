/** Whatever comes over the wire: a clear error with a stable code, and nobody else is disturbed. */

import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type RawAnswer, sendRaw } from "./raw.ts";
import { blob, echo, row, Stand } from "./stand.ts";

let stand: Stand;

beforeAll(async () => {
  stand = await Stand.start({
    models: [echo, blob],
    env: {
      MILLRACE_BODY_BYTES_MAX: "100000",
      MILLRACE_OPEN_BYTES_MAX: "250000",
      MILLRACE_ARRIVAL_MS: "500",
    },
  });
});

afterAll(async () => {
  await stand[Symbol.asyncDispose]();
});

/** Nobody else is disturbed. */
afterEach(async () => {
  const { status } = await stand.infer("echo", row(1, 2, 3, 4));
  if (status !== 200) throw new Error(`a good request was answered with ${status}`);
});

const code = async (response: Response): Promise<string> =>
  `${response.status} ${((await response.json()) as { readonly code: string }).code}`;

const rawCode = ({ status, body }: RawAnswer): string =>
  `${status} ${(JSON.parse(body) as { readonly code: string }).code}`;

const head = (length: number, more = "", path = "/v2/models/echo/infer"): string =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${stand.key}\r\n` +
  `Content-Length: ${length}\r\n${more}\r\n`;

const chunkedHead = (more = ""): string =>
  head(0, more).replace(/Content-Length: 0\r\n/, "Transfer-Encoding: chunked\r\n");

describe("routes and methods", () => {
  test.each([
    ["/", "404 ROUTE_NOT_FOUND"],
    ["/v2/", "404 ROUTE_NOT_FOUND"],
    ["/v1/models/echo", "404 ROUTE_NOT_FOUND"],
    ["/v2/models/echo/generate", "404 ROUTE_NOT_FOUND"],
    ["/v2/models/echo/versions/1/infer/more", "404 ROUTE_NOT_FOUND"],
    ["/v2/models/", "400 INVALID_NAME"],
    ["/v2/models/nothing", "404 MODEL_NOT_FOUND"],
    ["/v2/models/echo/versions/7", "404 VERSION_NOT_FOUND"],
    ["/v2/models/echo/versions/0", "404 VERSION_NOT_FOUND"],
    ["/v2/models/echo/versions/latest", "404 VERSION_NOT_FOUND"],
    ["/v2/models/echo/versions/", "404 VERSION_NOT_FOUND"],
    ["/v2/models/echo/versions", "404 VERSION_NOT_FOUND"],
    ["/v2/models/echo/versions/1e0", "404 VERSION_NOT_FOUND"],
  ])("GET %s is %s", async (path, expected) => {
    expect(await code(await stand.fetch(path))).toBe(expected);
  });

  test.each([
    ["GET", "/v2/models/echo/infer", "POST"],
    ["POST", "/v2/models/echo", "GET"],
    ["DELETE", "/v2/health/live", "GET"],
    ["GET", "/v2/repository/index", "POST"],
    ["OPTIONS", "/v2", "GET"],
  ])("%s %s is not taken, and the header says what is", async (method, path, allowed) => {
    const response = await stand.fetch(path, { method });
    expect(await code(response)).toBe("405 METHOD_NOT_ALLOWED");
    expect(response.headers.get("allow")).toBe(allowed);
  });
});

describe("names that would become subjects", () => {
  test.each([
    "a.b",
    "*",
    ">",
    "echo.*",
    "..",
    "%2e%2e",
    "a%20b",
    "a%0d%0ab",
    "echo%0d%0aPUB%20mr.ticket%200",
    "a%2fb",
    "%00",
    "%ff",
    "%",
    "%zz",
    "ECHO",
    "%C3%A9cho",
    "__proto__",
    "-echo",
    "x".repeat(65),
  ])("%s is no name", async (name) => {
    for (const action of ["", "/infer", "/versions/1/infer"]) {
      const method = action === "" ? "GET" : "POST";
      const answer = await sendRaw(stand.port, [
        `${method} /v2/models/${name}${action} HTTP/1.1\r\nHost: a\r\n` +
          `Authorization: Bearer ${stand.key}\r\nContent-Length: 0\r\n\r\n`,
      ]);
      expect(["400 INVALID_NAME", "404 ROUTE_NOT_FOUND"]).toContain(rawCode(answer));
    }
    expect(stand.seen.filter(({ model }) => model !== "echo@1")).toEqual([]);
  });

  test("line breaks and spaces as they are do not parse as HTTP", async () => {
    for (const name of ["a b", "a\r\nb", "a\tb"]) {
      const answer = await sendRaw(stand.port, [
        `GET /v2/models/${name} HTTP/1.1\r\nHost: a\r\n\r\n`,
      ]);
      expect(rawCode(answer)).toBe("400 INVALID_REQUEST");
      expect(answer.closed).toBe(true);
    }
  });
});

describe("requests that do not fit the model", () => {
  test.each([
    ["another shape", { ...row(1, 2, 3) }, "400 WRONG_SHAPE"],
    ["no inputs", {}, "400 INVALID_REQUEST"],
    ["an unknown output", { ...row(1, 2, 3, 4), outputs: [{ name: "z" }] }, "400 UNKNOWN_OUTPUT"],
    [
      "an unknown priority",
      { ...row(1, 2, 3, 4), parameters: { priority: 9 } },
      "400 INVALID_PARAMETER",
    ],
    ["a sequence", { ...row(1, 2, 3, 4), parameters: { sequence_id: 9 } }, "501 UNSUPPORTED"],
  ])("%s", async (_what, request, expected) => {
    expect(await code(await stand.infer("echo", request))).toBe(expected);
  });

  test("a body that is not JSON", async () => {
    const response = await stand.fetch("/v2/models/echo/infer", { method: "POST", body: "x=1" });
    expect(await code(response)).toBe("400 INVALID_JSON");
  });

  test("no body", async () => {
    const response = await stand.fetch("/v2/models/echo/infer", { method: "POST" });
    expect(await code(response)).toBe("400 INVALID_JSON");
  });

  test.each(["x", "-1", "1.5", "9999999999999"])("the header length %s", async (length) => {
    const response = await stand.infer("echo", row(1, 2, 3, 4), {
      headers: { "inference-header-content-length": length },
    });
    expect(await code(response)).toBe("400 INVALID_REQUEST");
  });

  test("the header length twice", async () => {
    const answer = await sendRaw(stand.port, [
      head(2, "Inference-Header-Content-Length: 2\r\nInference-Header-Content-Length: 3\r\n") +
        "{}",
    ]);
    expect(rawCode(answer)).toBe("400 INVALID_REQUEST");
  });

  test("a header length beyond the body", async () => {
    const response = await stand.infer("echo", row(1, 2, 3, 4), {
      headers: { "inference-header-content-length": "90000" },
    });
    expect(await code(response)).toBe("400 TRUNCATED_BODY");
  });

  test.each(["gzip", "deflate", "br"])("a body in %s", async (encoding) => {
    const response = await stand.infer("echo", row(1, 2, 3, 4), {
      headers: { "content-encoding": encoding },
    });
    expect(await code(response)).toBe("400 UNSUPPORTED_ENCODING");
  });
});

describe("bodies", () => {
  test("a declared length over the limit is refused before the body is sent", async () => {
    const answer = await sendRaw(stand.port, [head(100_001)]);
    expect(rawCode(answer)).toBe("413 BODY_TOO_LARGE");
    const huge = await sendRaw(stand.port, [head(Number.MAX_SAFE_INTEGER)]);
    expect(rawCode(huge)).toBe("413 BODY_TOO_LARGE");
  });

  test("a client that asks first is told not to send", async () => {
    const answer = await sendRaw(stand.port, [head(100_001, "Expect: 100-continue\r\n")]);
    expect(rawCode(answer)).toBe("413 BODY_TOO_LARGE");
  });

  test("a client that expects something else is told so, and may go on", async () => {
    const expecting = `${head(2, "Expect: x\r\n")}{}${head(2, "Expect: 100-continue\r\n")}{}`;
    const answer = await sendRaw(stand.port, [expecting]);
    expect(rawCode(answer)).toBe("417 EXPECTATION_FAILED");
    expect(answer.closed).toBe(false);
    expect(answer.more).toMatch(/^HTTP\/1.1 100 [^]*HTTP\/1.1 400 [^]*"code":"INVALID_REQUEST"/);
  });

  test("a client that sends all of it first still sees the answer", async () => {
    const response = await stand.fetch("/v2/models/echo/infer", {
      method: "POST",
      body: new Uint8Array(3_000_000),
    });
    expect(await code(response)).toBe("413 BODY_TOO_LARGE");
  });

  test.each([
    ["a declared body", (length: number) => head(length, "Connection: close\r\n")],
    ["a chunked body", () => chunkedHead("Connection: close\r\n")],
  ])("so does one that closes after it: %s", async (_, headOf) => {
    const length = 20_000_000;
    const socket = connect(stand.port, "127.0.0.1");
    socket.pause(); // it looks at nothing before it has written everything
    const begin = headOf(length);
    socket.write(begin);
    const chunk = `${length.toString(16)}\r\n${"x".repeat(length)}\r\n0\r\n\r\n`;
    const body = begin.includes("chunked") ? chunk : "x".repeat(length);
    socket.on("error", () => undefined);
    const failed = await new Promise((resolve) => socket.write(body, resolve));
    expect(failed, "of writing").not.toBeInstanceOf(Error);
    const answer = (await socket.toArray()).join("");
    expect(answer).toMatch(/^HTTP\/1.1 413 [^]*Connection: close\r\n[^]*"code":"BODY_TOO_LARGE"/);
  });

  test("who asks first and is told no is not waited for", async () => {
    const startedMs = performance.now();
    const socket = connect(stand.port, "127.0.0.1");
    socket.write(head(100_001, "Expect: 100-continue\r\nConnection: close\r\n"));
    expect((await socket.toArray()).join("")).toMatch(/^HTTP\/1.1 413 /);
    expect(performance.now() - startedMs).toBeLessThan(400);
  });

  test("a refusal is seen where what follows in its packet is not HTTP", async () => {
    const lost = chunkedHead("Connection: close\r\n").replace("/echo/", "/nothing/");
    const answer = await sendRaw(stand.port, [`${lost}zz\r\n`]);
    expect(rawCode(answer)).toBe("404 MODEL_NOT_FOUND");
    expect(answer.more).toBe("");
    expect(answer.closed).toBe(true);
  });

  test("what follows a refused body gets no second answer", async () => {
    const chunk = `${(150_000).toString(16)}\r\n${"x".repeat(150_000)}\r\n`;
    const answer = await sendRaw(stand.port, [chunkedHead(), chunk, "no chunk"]);
    expect(rawCode(answer)).toBe("413 BODY_TOO_LARGE");
    expect(answer.more).toBe("");
    expect(answer.closed).toBe(true);
  });

  test("a chunked body is stopped at the limit", async () => {
    const chunk = `${(50_000).toString(16)}\r\n${"x".repeat(50_000)}\r\n`;
    const answer = await sendRaw(stand.port, [chunkedHead(), chunk, chunk, chunk]);
    expect(rawCode(answer)).toBe("413 BODY_TOO_LARGE");
  });

  test("many tiny chunks are one small body", async () => {
    const text = JSON.stringify(row(1, 2, 3, 4));
    const extension = "y".repeat(40);
    const chunks = text.split("").map((letter) => `1;a=${extension}\r\n${letter}\r\n`);
    const answer = await sendRaw(stand.port, [`${chunkedHead()}${chunks.join("")}0\r\n\r\n`]);
    expect(answer.status).toBe(200);
  });

  test("chunk extensions without end are cut off", async () => {
    const answer = await sendRaw(stand.port, [`${chunkedHead()}1;${"y".repeat(100_000)}`]);
    expect([400, 413]).toContain(answer.status);
    expect(answer.closed).toBe(true);
  });

  test("a body that ends early", async () => {
    const answer = await sendRaw(stand.port, [`${head(100)}{"inputs"`], { end: true });
    expect(rawCode(answer)).toBe("400 TRUNCATED_BODY");
    expect(answer.closed).toBe(true);
  });

  test("a body that never comes is not waited for", async () => {
    const startedMs = performance.now();
    const answer = await sendRaw(stand.port, [`${head(100)}{"inputs"`]);
    expect(rawCode(answer)).toBe("408 REQUEST_TIMEOUT");
    expect(performance.now() - startedMs).toBeLessThan(4_000);
    expect(answer.closed).toBe(true);
  });

  test("a head that never ends is not waited for", async () => {
    const answer = await sendRaw(stand.port, [
      "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\n",
    ]);
    expect(rawCode(answer)).toBe("408 REQUEST_TIMEOUT");
    expect(answer.head).toMatch(/millrace-request-id: ingress-1-/i);
  });

  test("bodies that are read together are bounded, by what has come of them", async () => {
    const sockets = Array.from({ length: 2 }, () => connect(stand.port, "127.0.0.1"));
    for (const socket of sockets) {
      socket.on("error", () => undefined);
      socket.write(`${head(100_000, "", "/v2/models/blob/infer")}x`);
    }
    await sleep(50);
    const body = `${JSON.stringify(row(1, 2, 3, 4))}${" ".repeat(90_000)}`;
    const whole = [head(body.length), body];
    expect((await sendRaw(stand.port, whole)).status).toBe(200);
    for (const socket of sockets) socket.write("x".repeat(99_000));
    await sleep(50);
    const answer = await sendRaw(stand.port, [head(90_000, "", "/v2/models/blob/infer")]);
    expect(rawCode(answer)).toBe("503 OVERLOADED");
    expect(answer.head).toMatch(/retry-after: 1/i);
    for (const socket of sockets) socket.destroy();
    await sleep(50);
    expect((await sendRaw(stand.port, whole)).status).toBe(200);
  });

  const item = JSON.stringify(row(1, 2, 3, 4));
  test.each([
    ["documents", "", "/v2/jobs", `{"model":"echo","inputs":[${item}]}`],
    ["lines", "Content-Type: application/x-ndjson\r\n", "/v2/jobs?model=echo", item],
  ])("the %s of jobs, all together, are bounded", async (_what, type, path, content) => {
    const body = content.padEnd(200_000);
    const whole = [head(body.length, type, path), body];
    const socket = connect({ port: stand.port, host: "127.0.0.1" });
    socket.on("error", () => undefined);
    socket.write(head(200_000, type, path) + body.slice(1));
    await sleep(50);
    const answer = await sendRaw(stand.port, whole);
    expect(rawCode(answer)).toBe("503 OVERLOADED");
    socket.destroy();
    await sleep(50);
    expect((await sendRaw(stand.port, whole)).status).toBe(202);
  });
});

describe("requests that hide another one", () => {
  const smuggled = "GET /v2/models/secret HTTP/1.1\r\nHost: a\r\n\r\n";

  test.each([
    ["both lengths", "Transfer-Encoding: chunked\r\n"],
    ["two lengths", "Content-Length: 3\r\n"],
    ["a length that is no number", "Content-Length: 4x\r\n"],
    ["an encoding that is unknown", "Transfer-Encoding: x, chunked\r\n"],
    ["an encoding with a tab", "Transfer-Encoding:\tchunked\r\n"],
    ["a space before the colon", "Transfer-Encoding : chunked\r\n"],
    ["a folded header", "X-A: b\r\n Transfer-Encoding: chunked\r\n"],
    ["a bare line feed", "X-A: b\nTransfer-Encoding: chunked\r\n"],
    ["a zero byte", "X-A: b\0c\r\n"],
  ])("%s", async (_what, more) => {
    const answer = await sendRaw(stand.port, [`${head(4, more)}0\r\n\r\n${smuggled}`]);
    expect(rawCode(answer)).toMatch(/^400 INVALID_REQUEST$/);
    expect(answer.closed).toBe(true);
    expect(answer.body).not.toContain("secret");
  });

  test("no host, where HTTP has one", async () => {
    const answer = await sendRaw(stand.port, ["GET /v2/health/live HTTP/1.1\r\n\r\n"]);
    expect(rawCode(answer)).toBe("400 INVALID_REQUEST");
    expect(answer.head).toMatch(/millrace-request-id: ingress-1-/i);
    expect(answer.closed).toBe(true);
    const older = await sendRaw(stand.port, ["GET /v2/health/live HTTP/1.0\r\n\r\n"]);
    expect(older.status).toBe(200);
  });

  test("a head of more than 64 KiB", async () => {
    const answer = await sendRaw(stand.port, [
      `GET /v2/health/live HTTP/1.1\r\nHost: a\r\nX-A: ${"y".repeat(70_000)}\r\n\r\n`,
    ]);
    expect(rawCode(answer)).toBe("431 HEAD_TOO_LARGE");
    expect(answer.head).toMatch(/millrace-request-id: ingress-1-/i);
  });

  test("garbage, TLS among it", async () => {
    const tls = Uint8Array.from([0x16, 3, 1, 0, 0xa5, 1, 0, 0, 0xa1, 3, 3]);
    for (const piece of ["\r\n\r\nhello\r\n\r\n", tls]) {
      const answer = await sendRaw(stand.port, [piece]);
      expect(rawCode(answer)).toBe("400 INVALID_REQUEST");
    }
  });

  test("garbage behind a request that waits is not taken for its answer", async () => {
    stand.onTicket = () => undefined;
    const body = JSON.stringify(row(1, 2, 3, 4));
    const socket = connect(stand.port, "127.0.0.1");
    let received = "";
    socket.on("data", (data) => (received += data.toString()));
    socket.on("error", () => undefined);
    const closed = new Promise<void>((resolve) => void socket.once("close", () => resolve()));
    socket.write(`${head(body.length)}${body}\0\0garbage\r\n\r\n`);
    await closed;
    stand.onTicket = ({ tensors }) => tensors;
    expect(received).toBe("");
  });
});

test("a thousand clients that send nothing disturb nobody", async () => {
  const idle = Array.from({ length: 1_000 }, () => {
    const socket = connect(stand.port, "127.0.0.1");
    socket.on("error", () => undefined);
    return socket;
  });
  await sleep(100);
  expect((await stand.infer("echo", row(1, 2, 3, 4))).status).toBe(200);
  for (const socket of idle) socket.destroy();
});
