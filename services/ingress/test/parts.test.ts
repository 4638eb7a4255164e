/** Large bodies and large answers in parts: order, bounds, and what is left over. */

import { describe, expect, test } from "vitest";
import {
  type Answer,
  BODY_BYTES_MAX,
  decodePart,
  decodeTensors,
  encodeTensors,
  PART_BYTES_MAX,
  type PartFrame,
  type Tensor,
} from "@millrace/protocol";
import { AnswerParts } from "../src/answer-parts.ts";
import { BodySender } from "../src/body-sender.ts";
import { exchange } from "./exchanges.ts";

const bytes = (size: number, seed = 0): Uint8Array =>
  Uint8Array.from({ length: size }, (_, at) => (at * 7 + seed) % 251);

const tensor = (size: number, seed = 0): Tensor => ({
  datatype: "UINT8",
  dims: [size],
  bytes: bytes(size, seed),
});

describe("a body that workers fetch", () => {
  const tensors = [tensor(700_001, 1), tensor(3, 2), tensor(1_300_000, 3)];
  const whole = encodeTensors(tensors);

  function rig(flush: () => Promise<void> = () => Promise.resolve()) {
    const sent: { readonly subject: string; readonly part: PartFrame }[] = [];
    const open = new Map([[7, exchange(7, tensors)]]);
    const state = { connected: true };
    const sender = new BodySender({
      bus: {
        publish: (subject, frame) => {
          const part = decodePart(frame);
          if (!part.ok) throw new Error(part.error.message);
          if (state.connected) sent.push({ subject, part: part.value });
          return state.connected;
        },
      },
      flush,
      address: "ingress-1",
      find: (seq) => open.get(seq),
    });
    return { sender, sent, open, state };
  }

  test("comes in parts that make the encoded tensors", () => {
    const { sender, sent } = rig();
    sender.fetched({ worker: "w", wants: [{ seq: 7, attempt: 2 }] });
    expect(sent.map(({ subject }) => subject)).toEqual(sent.map(() => "mr.tensor.w"));
    expect(sent.length).toBe(Math.ceil(whole.length / PART_BYTES_MAX));
    const body = Buffer.concat(sent.map(({ part }) => part.bytes));
    expect(body.equals(whole)).toBe(true);
    expect(decodeTensors(body)).toMatchObject({ ok: true });
    let offset = 0;
    for (const { part } of sent) {
      expect(part).toMatchObject({ from: "ingress-1", seq: 7, attempt: 2, offset });
      expect(part.total).toBe(whole.length);
      offset += part.bytes.length;
    }
  });

  test("that is not there, or travels in its ticket, is gone", () => {
    const { sender, sent, open } = rig();
    open.set(8, exchange(8, [tensor(10)]));
    sender.fetched({
      worker: "w",
      wants: [
        { seq: 6, attempt: 1 },
        { seq: 8, attempt: 1 },
      ],
    });
    expect(sent.map(({ part }) => [part.seq, part.total, part.bytes.length])).toEqual([
      [6, 0, 0],
      [8, 0, 0],
    ]);
  });

  test("is sent no faster than the broker reads", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { sender, sent } = rig(() => promise);
    const wants = Array.from({ length: 10 }, () => ({ seq: 7, attempt: 1 }));
    sender.fetched({ worker: "w", wants });
    const before = sent.reduce((sum, { part }) => sum + part.bytes.length, 0);
    expect(before).toBeLessThan(10 * 1024 * 1024);
    resolve();
    await promise;
    await new Promise((done) => void setImmediate(done));
    const after = sent.reduce((sum, { part }) => sum + part.bytes.length, 0);
    expect(after).toBe(10 * whole.length);
  });

  test("whose request ends meanwhile is gone for who still waits for it", async () => {
    const { promise, reject } = Promise.withResolvers<void>();
    const { sender, sent, open } = rig(() => promise);
    const wants = Array.from({ length: 10 }, () => ({ seq: 7, attempt: 1 }));
    sender.fetched({ worker: "w", wants });
    open.clear();
    reject(new Error("disconnected"));
    await new Promise((done) => void setImmediate(done));
    expect(sent.at(-1)?.part).toMatchObject({ seq: 7, total: 0 });
  });

  test("without a connection is not kept: the ticket comes again", () => {
    const { sender, sent, state } = rig();
    state.connected = false;
    sender.fetched({ worker: "w", wants: [{ seq: 7, attempt: 1 }] });
    state.connected = true;
    sender.fetched({ worker: "w", wants: [{ seq: 7, attempt: 2 }] });
    expect(sent.every(({ part }) => part.attempt === 2)).toBe(true);
    expect(sent[0]?.part.offset).toBe(0);
  });
});

describe("an answer in parts", () => {
  const rig = (bytesMax = 1_000) => new AnswerParts({ bytesMax, isOpen: (seq) => seq < 100 });
  const body = bytes(300);
  const part = (offset: number, length: number, change: Partial<PartFrame> = {}): PartFrame => ({
    from: "w",
    seq: 1,
    attempt: 1,
    offset,
    total: 300,
    bytes: body.subarray(offset, offset + length),
    ...change,
  });
  const answer = { seq: 1, attempt: 1, bodyBytes: 300 } as Answer;

  test("is whole when all of them came in order", () => {
    const parts = rig();
    for (const offset of [0, 100, 200]) parts.take(part(offset, 100));
    expect(parts.bytes).toBe(300);
    expect(Buffer.from(parts.claim("w", answer) ?? []).equals(body)).toBe(true);
    expect(parts.bytes).toBe(0);
  });

  test.each([
    ["one missing", [part(0, 100), part(200, 100)]],
    ["the last missing", [part(0, 100), part(100, 100)]],
    ["the first missing", [part(100, 100), part(200, 100)]],
    ["one of another size", [part(0, 100), part(100, 200, { total: 301 })]],
    ["one past the end", [part(0, 100), part(100, 200, { bytes: new Uint8Array(201) })]],
    ["another sender", [part(0, 300, { from: "v" })]],
    ["another attempt", [part(0, 300, { attempt: 2 })]],
    ["none", []],
    ["more than a body may have", [part(0, 300, { total: BODY_BYTES_MAX + 1 })]],
  ])("with %s is lost", (_what, frames) => {
    const parts = rig();
    for (const frame of frames) parts.take(frame);
    expect(parts.claim("w", answer)).toBeUndefined();
    parts.drop(1);
    expect(parts.bytes).toBe(0);
  });

  test("may begin again, and two may come at once from two workers", () => {
    const parts = rig();
    parts.take(part(0, 100));
    parts.take(part(0, 150));
    parts.take(part(0, 300, { from: "v", attempt: 2 }));
    parts.take(part(150, 150));
    expect(parts.claim("v", { ...answer, attempt: 2 })).toBeDefined();
    expect(parts.claim("w", answer)).toBeDefined();
    expect(parts.bytes).toBe(0);
  });

  test("I6: is kept for open requests only, within a bound for all", () => {
    const parts = rig(500);
    parts.take(part(0, 300, { seq: 100 }));
    expect(parts.bytes).toBe(0);
    parts.take(part(0, 300));
    parts.take(part(0, 300, { seq: 2 }));
    expect(parts.bytes).toBe(300);
    parts.drop(1);
    parts.drop(1);
    expect(parts.bytes).toBe(0);
  });
});
