/**
 * Metadata services as AWS, Google and Azure run them, as strict as theirs about what they are
 * asked; each can also be made to answer anything at all.
 */

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { SpotProvider } from "../src/spot/providers.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const answer = (response: ServerResponse, status: number, text = "", headers = {}): void => {
  response.writeHead(status, headers).end(text);
};

export class Metadata implements AsyncDisposable {
  /** Answers in place of the service, once it is set. */
  hostile: Handler | undefined;
  /** AWS: the document; none is announced without. */
  action: { readonly action: string; readonly time: string } | undefined;
  /** Google's two values. */
  preempted = "FALSE";
  maintenance = "NONE";
  /** Azure's documents. */
  events: readonly object[] = [];
  /** AWS: every token that was given. */
  readonly tokens: string[] = [];
  asked = 0;
  readonly #server: Server;

  private constructor(provider: SpotProvider) {
    const handlers: Readonly<Record<SpotProvider, Handler>> = {
      aws: (request, response) => this.#aws(request, response),
      gcp: (request, response) => this.#gcp(request, response),
      azure: (request, response) => this.#azure(request, response),
    };
    this.#server = createServer((request, response) => {
      this.asked++;
      (this.hostile ?? handlers[provider])(request, response);
    });
  }

  static async start(provider: SpotProvider): Promise<Metadata> {
    const metadata = new Metadata(provider);
    metadata.#server.listen(0, "127.0.0.1");
    await once(metadata.#server, "listening");
    return metadata;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The tokens that were given so far are refused from now on. */
  expireTokens(): void {
    this.tokens.length = 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #aws({ headers, method, url }: IncomingMessage, response: ServerResponse): void {
    if (url === "/latest/api/token") {
      if (method !== "PUT") return answer(response, 405);
      const seconds = Number(headers["x-aws-ec2-metadata-token-ttl-seconds"]);
      if (!(seconds >= 1 && seconds <= 21_600)) return answer(response, 400);
      this.tokens.push(`token-${this.asked}`);
      return answer(response, 200, this.tokens.at(-1));
    }
    if (!this.tokens.includes(String(headers["x-aws-ec2-metadata-token"]))) {
      return answer(response, 401);
    }
    if (url !== "/latest/meta-data/spot/instance-action" || this.action === undefined) {
      return answer(response, 404, "<html>Not Found</html>");
    }
    answer(response, 200, JSON.stringify(this.action));
  }

  #gcp({ headers, url }: IncomingMessage, response: ServerResponse): void {
    if (headers["metadata-flavor"] !== "Google") return answer(response, 403);
    const values = new Map([
      ["/computeMetadata/v1/instance/preempted", this.preempted],
      ["/computeMetadata/v1/instance/maintenance-event", this.maintenance],
    ]);
    const value = values.get(url ?? "");
    const status = value === undefined ? 404 : 200;
    answer(response, status, value, { "metadata-flavor": "Google" });
  }

  #azure({ headers, url = "" }: IncomingMessage, response: ServerResponse): void {
    if (headers["metadata"] !== "true") return answer(response, 400);
    const { pathname, searchParams } = new URL(url, this.url);
    if (!searchParams.has("api-version")) return answer(response, 400);
    if (pathname === "/metadata/instance/compute/name") return answer(response, 200, "worker_1");
    if (pathname !== "/metadata/scheduledevents") return answer(response, 404);
    const document = { DocumentIncarnation: 1, Events: this.events };
    answer(response, 200, JSON.stringify(document));
  }
}
