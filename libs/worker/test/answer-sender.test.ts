/** Answers on their way out, on a bus that is sometimes not there. */

import {
  type Answer,
  decodeAnswers,
  decodePart,
  frameKind,
  PART_BYTES_MAX,
} from "@millrace/protocol";
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { AnswerSender } from "../src/answer-sender.ts";

class FakeBus {
  connected = true;
  readonly sent: { readonly subject: string; readonly bytes: Uint8Array }[] = [];

  publish(subject: string, bytes: Uint8Array): boolean {
    if (this.connected) this.sent.push({ subject, bytes });
    return this.connected;
  }

  get answers(): readonly Answer[] {
    return this.sent.flatMap(({ bytes }) => {
      const frame = decodeAnswers(bytes);
      return frame.ok ? frame.value.answers : [];
    });
  }
}

class Rig {
  readonly bus = new FakeBus();
  nowUs = 0;
  lost = 0;
  readonly sender = new AnswerSender({
    bus: this.bus,
    id: "gpu-worker-1",
    device: "cpu",
    nowUs: () => this.nowUs,
    lost: (count) => (this.lost += count),
  });
}

const answer = (seq: number, bytes = 4): Answer => ({
  seq,
  attempt: 0,
  error: undefined,
  queueUs: 1,
  computeUs: 2,
  batchRows: 3,
  parted: false,
  bodyBytes: bytes,
  body: new Uint8Array(bytes).fill(seq),
});

test("what one turn answers to one ingress is one frame", async () => {
  const { bus, sender } = new Rig();
  sender.send("ingress-1", [answer(1), answer(2)]);
  sender.send("ingress-2", [answer(3)]);
  sender.send("ingress-1", [answer(4)]);
  expect(bus.sent).toEqual([]);
  await turn();
  expect(bus.sent.map(({ subject }) => subject)).toEqual([
    "mr.answer.ingress-1",
    "mr.answer.ingress-2",
  ]);
  expect(bus.answers.map(({ seq }) => seq)).toEqual([1, 2, 4, 3]);
});

test("a body that fits one message goes inside its answer", () => {
  const { bus, sender } = new Rig();
  sender.send("ingress-1", [answer(1, PART_BYTES_MAX)]);
  sender.flush();
  expect(bus.sent).toHaveLength(1);
  expect(bus.answers[0]).toMatchObject({ parted: false, bodyBytes: PART_BYTES_MAX });
  expect(bus.sent[0]?.bytes.length).toBeLessThan(1024 * 1024);
});

test("a larger body goes in parts, ahead of the frame with its answer", () => {
  const { bus, sender } = new Rig();
  sender.send("ingress-1", [answer(1), answer(2, PART_BYTES_MAX + 10), answer(3)]);
  sender.flush();
  expect(bus.sent.map(({ bytes }) => frameKind(bytes))).toEqual(["part", "part", "answer"]);
  const parts = bus.sent.slice(0, 2).map(({ bytes }) => {
    const part = decodePart(bytes);
    if (!part.ok) throw new Error(part.error.message);
    const { from, seq, offset, total } = part.value;
    return [from, seq, offset, total, part.value.bytes.length];
  });
  const total = PART_BYTES_MAX + 10;
  expect(parts).toEqual([
    ["gpu-worker-1", 2, 0, total, PART_BYTES_MAX],
    ["gpu-worker-1", 2, PART_BYTES_MAX, total, 10],
  ]);
  expect(bus.answers.map(({ seq, parted, body }) => [seq, parted, body.length])).toEqual([
    [1, false, 4],
    [2, true, 0],
    [3, false, 4],
  ]);
});

test("answers that find no broker are sent when it is back, large ones whole", () => {
  const { bus, sender } = new Rig();
  bus.connected = false;
  sender.send("ingress-1", [answer(1), answer(2, PART_BYTES_MAX + 10)]);
  sender.flush();
  bus.connected = true;
  sender.resend();
  sender.flush();
  expect(bus.sent.map(({ bytes }) => frameKind(bytes))).toEqual(["part", "part", "answer"]);
  expect(bus.answers.map(({ seq }) => seq)).toEqual([1, 2]);
  sender.resend();
  sender.flush();
  expect(bus.sent).toHaveLength(3);
});

test("answers are kept within a bound of bytes and of time, and the others are counted", () => {
  const rig = new Rig();
  rig.bus.connected = false;
  rig.sender.send("ingress-1", [answer(1, 40 * 1024 * 1024), answer(2, 40 * 1024 * 1024)]);
  rig.sender.flush();
  expect(rig.lost).toBe(1);
  rig.bus.connected = true;
  rig.nowUs = 10_000_001;
  rig.sender.resend();
  rig.sender.flush();
  expect(rig.lost).toBe(2);
  expect(rig.bus.sent).toEqual([]);
});
