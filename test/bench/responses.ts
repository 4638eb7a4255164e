/** Cuts a byte stream into HTTP/1.1 responses, as little as a load generator needs of it. */

export interface Responses {
  /** Takes what came next; the chunk's memory may be used again afterwards. */
  push(chunk: Buffer): void;
}

const HEAD_END = Buffer.from("\r\n\r\n");
const HEAD_BYTES_MAX = 64 * 1024;

/**
 * Calls `whole` with the status of each response as its last byte arrives.
 * @throws Error on a response without Content-Length.
 */
export function readResponses(whole: (status: number) => void): Responses {
  let head: Buffer | undefined;
  let status = 0;
  let bodyLeft = -1;

  const takeHead = (bytes: Buffer): Buffer | undefined => {
    const all = head === undefined ? bytes : Buffer.concat([head, bytes]);
    const end = all.indexOf(HEAD_END);
    if (end === -1) {
      if (all.length > HEAD_BYTES_MAX) throw new Error("a response head without an end");
      head = Buffer.from(all);
      return undefined;
    }
    const text = all.toString("latin1", 0, end);
    const length = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1];
    if (length === undefined) throw new Error(`a response without Content-Length: ${text}`);
    status = Number(text.slice(9, 12));
    bodyLeft = Number(length);
    head = undefined;
    return all.subarray(end + HEAD_END.length);
  };

  return {
    push(chunk) {
      let bytes: Buffer | undefined = chunk;
      while (bytes !== undefined && (bytes.length > 0 || bodyLeft === 0)) {
        if (bodyLeft === -1) {
          bytes = takeHead(bytes);
          continue;
        }
        const taken = Math.min(bodyLeft, bytes.length);
        bodyLeft -= taken;
        bytes = bytes.subarray(taken);
        if (bodyLeft > 0) continue;
        bodyLeft = -1;
        whole(status);
      }
    },
  };
}
