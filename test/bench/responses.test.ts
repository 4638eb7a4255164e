/** The load generator's reader of responses, whichever way the network cuts them. */

import fc from "fast-check";
import { expect, test } from "vitest";
import { readResponses } from "./responses.ts";

const response = (status: number, body: string): string =>
  `HTTP/1.1 ${status} OK\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

test("responses come out whole and in order however the stream is cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 200, max: 599 }), fc.stringMatching(/^[a-z\r\n]*$/))),
      fc.array(fc.nat({ max: 500 })),
      (sent, cuts) => {
        const stream = Buffer.from(sent.map(([status, body]) => response(status, body)).join(""));
        const read: number[] = [];
        const responses = readResponses((status) => read.push(status));
        const reused = Buffer.alloc(stream.length);
        let from = 0;
        for (const cut of [...cuts, stream.length]) {
          // One buffer for all chunks, as the load generator has it.
          const chunk = reused.subarray(0, stream.copy(reused, 0, from, from + cut));
          responses.push(chunk);
          chunk.fill(0);
          from = Math.min(stream.length, from + cut);
        }
        expect(read).toEqual(sent.map(([status]) => status));
      },
    ),
  );
});

test("a response without a length is an error, not a wait", () => {
  const responses = readResponses(() => undefined);
  const chunked = Buffer.from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
  expect(() => responses.push(chunked)).toThrow("without Content-Length");
});

test("a head without an end is an error, not memory", () => {
  const responses = readResponses(() => undefined);
  expect(() => responses.push(Buffer.alloc(100_000, "a"))).toThrow("without an end");
});
