/** One request to a metadata service: bounded in time and size, and never led elsewhere. */

import { type ClientRequest, type IncomingHttpHeaders, request } from "node:http";
import { fail, ok, type Result } from "@millrace/std";

export interface Ask {
  readonly url: URL;
  readonly method?: "GET" | "PUT";
  readonly headers: Readonly<Record<string, string>>;
}

export interface Said {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** These services answer from the same machine. */
export const ASK_MS_MAX = 1_000;
/** What is longer is not from a metadata service (I6). */
export const ANSWER_BYTES_MAX = 64 * 1024;

/** A redirect is an answer like any other; it is not followed. */
export function ask({ url, method = "GET", headers }: Ask): Promise<Result<Said, string>> {
  return new Promise((resolve) => {
    const where = `${method} ${url.href}`;
    const end = (result: Result<Said, string>, sent?: ClientRequest): void => {
      clearTimeout(timer);
      resolve(result);
      sent?.destroy();
    };
    const sent = request(url, { method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        chunks.push(chunk);
        if (bytes > ANSWER_BYTES_MAX) {
          end(fail(`${where}: more than ${ANSWER_BYTES_MAX} bytes`), sent);
        }
      });
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        end(ok({ status: response.statusCode ?? 0, headers: response.headers, text }));
      });
      response.on("error", (error) => end(fail(`${where}: ${error.message}`)));
    });
    const late = fail(`${where}: no answer within ${ASK_MS_MAX} ms`);
    // The whole answer, not the silence between two bytes of it.
    const timer = setTimeout(() => end(late, sent), ASK_MS_MAX);
    sent.on("error", (error) => end(fail(`${where}: ${error.message}`)));
    sent.end();
  });
}
