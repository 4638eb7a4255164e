/** Where frames begin and end, however the stream is cut. */

import { describe, expect, test } from "vitest";
import { FrameSplitter, type Unit } from "../src/proxy/frames.ts";

const STREAM = [
  'INFO {"server_id":"x"}\r\n',
  "PING\r\n",
  "MSG mr.answer.a 1 5\r\nhello\r\n",
  "MSG mr.fetch.a 2 _INBOX.1 13\r\nMSG x 1 5\r\nab\r\n",
  "HMSG mr.evt.x 3 12 15\r\nNATS/1.0\r\n\r\nabc\r\n",
  "PUB mr.hb.worker.a 0\r\n\r\n",
  "HPUB $KV.x reply 12 12\r\nNATS/1.0\r\n\r\n\r\n",
  "+OK\r\n",
];
const WHOLE = Buffer.from(STREAM.join(""));
const SUBJECTS = [
  undefined,
  undefined,
  "mr.answer.a",
  "mr.fetch.a",
  "mr.evt.x",
  "mr.hb.worker.a",
  "$KV.x",
  undefined,
];

const bytesOf = (units: readonly Unit[]): string =>
  units.map(({ bytes }) => bytes.toString("latin1")).join("");

describe("a stream of NATS", () => {
  test("comes out frame by frame, cut anywhere", () => {
    for (let size = 1; size <= WHOLE.length; size++) {
      const splitter = new FrameSplitter();
      const units: Unit[] = [];
      for (let at = 0; at < WHOLE.length; at += size) {
        units.push(...splitter.push(WHOLE.subarray(at, at + size), true));
      }
      expect(units.map(({ bytes }) => bytes.toString("latin1"))).toEqual(STREAM);
      expect(units.map(({ subject }) => subject)).toEqual(SUBJECTS);
    }
  });

  test("is whole and in order however often the cutting is switched on and off", () => {
    for (let size = 1; size <= 20; size++) {
      const splitter = new FrameSplitter();
      const units: Unit[] = [];
      let turn = 0;
      for (let at = 0; at < WHOLE.length; at += size) {
        units.push(...splitter.push(WHOLE.subarray(at, at + size), turn++ % 3 === 0));
      }
      // What is held at the end is the rest of a frame that is cut.
      units.push(...splitter.push(Buffer.from("\r\n"), false));
      expect(bytesOf(units)).toBe(`${WHOLE.toString("latin1")}\r\n`);
      // A message is only called one when its first byte came with it.
      for (const { bytes, subject } of units) {
        if (subject !== undefined) expect(STREAM).toContain(bytes.toString("latin1"));
      }
    }
  });

  test("that is none is refused", () => {
    const splitter = new FrameSplitter();
    const block = Buffer.alloc(600_000, 65);
    splitter.push(block, true);
    expect(() => splitter.push(block, true)).toThrow("larger than NATS allows");
  });
});
