/** Turns a child's output into whole lines of bounded length. */

import { StringDecoder } from "node:string_decoder";

/** Longer lines are delivered in pieces of this size: a child cannot grow its supervisor (I6). */
export const LINE_CHARACTERS_MAX = 64 * 1024;

export interface LineSplitter {
  readonly push: (chunk: Uint8Array) => void;
  /** Delivers what is left once the stream has ended. */
  readonly end: () => void;
}

export function splitLines(onLine: (line: string) => void): LineSplitter {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  const take = (text: string): void => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line.endsWith("\r") ? line.slice(0, -1) : line);
    while (rest.length > LINE_CHARACTERS_MAX) {
      onLine(rest.slice(0, LINE_CHARACTERS_MAX));
      rest = rest.slice(LINE_CHARACTERS_MAX);
    }
  };
  return {
    push: (chunk) => take(decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length))),
    end: () => {
      take(decoder.end());
      if (rest !== "") onLine(rest);
      rest = "";
    },
  };
}
