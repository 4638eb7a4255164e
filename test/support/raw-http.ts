/** HTTP/1.1 as bytes, for requests that no client library would send. */

import { connect } from "node:net";

export interface RawRequest {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

export interface RawAnswer {
  readonly status: number;
  /** Of the error document; undefined for any other body. */
  readonly code: string | undefined;
}

const WAIT_MS_MAX = 10_000;

/** The request as it stands, with the length of its body unless it has a length of its own. */
export function rawBytes({ method = "POST", path, headers = {}, body = "" }: RawRequest): Buffer {
  const bytes = Buffer.from(body);
  const names = Object.keys(headers).map((name) => name.toLowerCase());
  const sized = names.includes("content-length") || names.includes("transfer-encoding");
  const lines = Object.entries({
    Host: "millrace",
    ...headers,
    ...(sized ? {} : { "Content-Length": String(bytes.length) }),
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`;
  return Buffer.concat([Buffer.from(head, "latin1"), bytes]);
}

/** The first answer to these bytes; `close` says right behind them that nothing more will come. */
export function sendRaw(
  port: number,
  bytes: Uint8Array,
  after: "wait" | "close" = "wait",
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    let received = "";
    const late = setTimeout(() => end(), WAIT_MS_MAX);
    const end = (): void => {
      clearTimeout(late);
      socket.destroy();
      const answer = parse(received);
      if (answer === undefined) reject(new Error(`no answer, but ${JSON.stringify(received)}`));
      else resolve(answer);
    };
    socket.on("data", (data) => {
      received += data.toString("latin1");
      if (parse(received) !== undefined) end();
    });
    socket.on("end", end).on("error", end);
    socket.write(bytes);
    if (after === "close") socket.end();
  });
}

function parse(text: string): RawAnswer | undefined {
  const at = text.indexOf("\r\n\r\n");
  if (at === -1) return undefined;
  const head = text.slice(0, at);
  const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
  const body = text.slice(at + 4, at + 4 + length);
  if (body.length < length) return undefined;
  let code: string | undefined;
  try {
    code = (JSON.parse(body) as { readonly code?: string }).code;
  } catch {
    // Tensors, or nothing.
  }
  return { status: Number(head.split(" ")[1]), code };
}
