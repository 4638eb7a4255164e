/** HTTP as bytes: what no client library would send. */

import { connect } from "node:net";

export interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
  /** What came behind it. */
  readonly more: string;
  /** The server ended the connection. */
  readonly closed: boolean;
}

const QUIET_MS = 25;
const WAIT_MS_MAX = 5_000;

/**
 * Sends the pieces one after another and returns the first answer, once it is whole, and whether
 * the server then closes the connection. `end` closes this side when all is sent.
 */
export function sendRaw(
  port: number,
  pieces: readonly (string | Uint8Array)[],
  { end = false }: { readonly end?: boolean } = {},
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    let received = "";
    let quiet: NodeJS.Timeout | undefined;
    const late = setTimeout(() => finish(false), WAIT_MS_MAX);
    const finish = (closed: boolean): void => {
      clearTimeout(late);
      clearTimeout(quiet);
      socket.destroy();
      const answer = parse(received);
      if (answer === undefined) reject(new Error(`no answer, but ${JSON.stringify(received)}`));
      else resolve({ ...answer, closed });
    };
    socket.on("data", (data) => {
      received += data.toString("latin1");
      if (parse(received) === undefined || quiet !== undefined) return;
      quiet = setTimeout(() => finish(false), QUIET_MS);
    });
    socket.on("end", () => finish(true));
    socket.on("error", () => finish(true));
    for (const piece of pieces) socket.write(piece);
    if (end) socket.end();
  });
}

function parse(text: string): Omit<RawAnswer, "closed"> | undefined {
  const at = text.indexOf("\r\n\r\n");
  if (at === -1) return undefined;
  const head = text.slice(0, at);
  const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
  const end = at + 4 + length;
  if (text.length < end) return undefined;
  const status = Number(head.split(" ")[1]);
  return { status, head, body: text.slice(at + 4, end), more: text.slice(end) };
}
