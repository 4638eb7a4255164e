/**
 * Cuts a NATS stream of either direction into what belongs together: control lines, and messages
 * with their payload. It follows the stream even while nobody wants the pieces, so that they can be
 * had from any moment on.
 */

export interface Unit {
  readonly bytes: Buffer;
  /** Of a message that is here from its first byte to its last. */
  readonly subject?: string;
}

/** nats-server's own bound of a control line is 4 KiB, but its INFO grows with the cluster. */
const LINE_BYTES_MAX = 1024 * 1024;
/** Above nats-server's hard limit of a payload, 64 MiB, with room for the line. */
const FRAME_BYTES_MAX = 65 * 1024 * 1024;
const NEWLINE = 10;
/** Server to client and client to server; the last word is the number of bytes that follow. */
const MESSAGE = /^(?:H?MSG|H?PUB)[ \t]+(\S+)[ \t](?:.*[ \t])?(\d+)\r?\n$/i;

/** @throws Error, from `push`, where the stream is not of NATS. */
export class FrameSplitter {
  /** Of the frame under way: what was not given out yet. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** The beginning of its control line, until the line is whole. */
  #line: Buffer | undefined;
  #subject: string | undefined;
  /** Bytes of its payload that are still to come, with the end of line. */
  #payloadLeft = 0;
  /** A part of it was given out already. */
  #begun = false;

  /** With `whole`, only whole frames come out; without, the chunk as it is. */
  push(chunk: Buffer, whole: boolean): readonly Unit[] {
    const units: Unit[] = [];
    let frameFrom = 0;
    let at = 0;
    while (at < chunk.length) {
      at = this.#payloadLeft > 0 ? this.#skipPayload(chunk, at) : this.#readLine(chunk, at);
      if (this.#payloadLeft > 0 || this.#line !== undefined) continue;
      if (whole) {
        units.push(this.#unit(chunk.subarray(frameFrom, at)));
        this.#begun = false;
      }
      frameFrom = at;
      this.#subject = undefined;
    }
    const rest = chunk.subarray(whole ? frameFrom : 0);
    if (whole) this.#hold(rest);
    else {
      units.push(this.#unit(rest, false));
      this.#begun = frameFrom < chunk.length;
    }
    return units;
  }

  #hold(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > FRAME_BYTES_MAX) throw new Error("a frame is larger than NATS allows");
    this.#held.push(bytes);
  }

  /** What was held and these bytes; it is a message if nothing of it went out before. */
  #unit(bytes: Buffer, complete = true): Unit {
    const joined = this.#held.length === 0 ? bytes : Buffer.concat([...this.#held, bytes]);
    this.#held = [];
    this.#heldBytes = 0;
    const subject = complete && !this.#begun ? this.#subject : undefined;
    return subject === undefined ? { bytes: joined } : { bytes: joined, subject };
  }

  #skipPayload(chunk: Buffer, from: number): number {
    const taken = Math.min(this.#payloadLeft, chunk.length - from);
    this.#payloadLeft -= taken;
    return from + taken;
  }

  #readLine(chunk: Buffer, from: number): number {
    const newline = chunk.indexOf(NEWLINE, from);
    const end = newline === -1 ? chunk.length : newline + 1;
    const piece = chunk.subarray(from, end);
    const line = this.#line === undefined ? piece : Buffer.concat([this.#line, piece]);
    if (line.length > LINE_BYTES_MAX) throw new Error("a control line is larger than NATS allows");
    if (newline === -1) {
      this.#line = line;
      return end;
    }
    this.#line = undefined;
    const [, subject, bytes] = MESSAGE.exec(line.toString("latin1")) ?? [];
    if (subject !== undefined) {
      this.#subject = subject;
      this.#payloadLeft = Number(bytes) + 2;
    }
    return end;
  }
}
