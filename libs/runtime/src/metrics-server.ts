/** `/metrics` and `/health` of a process, on a listener of their own. */

import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";

export interface Health {
  readonly ok: boolean;
  /** Anything of JSON: why not, or what state. */
  readonly detail: unknown;
}

export interface MetricsServer extends AsyncDisposable {
  /** 0 when nothing is served. */
  readonly port: number;
}

/** Scrapers and probes are few. */
const CONNECTIONS_MAX = 64;

/** Port 0 serves nothing, `any` takes a free one. */
export async function serveMetrics(options: {
  readonly registry: Registry;
  readonly health: () => Health;
  readonly host: string;
  readonly port: number | "any";
}): Promise<MetricsServer> {
  if (options.port === 0) return { port: 0, [Symbol.asyncDispose]: async () => undefined };
  const server = createServer((request, response) => {
    const path = request.url?.split("?")[0];
    if (request.method !== "GET") answer(response, 405, "text/plain", "GET only\n");
    else if (path === "/metrics") void answerMetrics(response, options.registry);
    else if (path === "/health") answerHealth(response, options.health());
    else answer(response, 404, "text/plain", "/metrics and /health are here\n");
  });
  server.maxConnections = CONNECTIONS_MAX; // I6
  server.listen(options.port === "any" ? 0 : options.port, options.host);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answerMetrics(response: ServerResponse, registry: Registry): Promise<void> {
  try {
    answer(response, 200, registry.contentType, await registry.metrics());
  } catch (error) {
    answer(response, 500, "text/plain", `${String(error)}\n`);
  }
}

function answerHealth(response: ServerResponse, health: Health): void {
  answer(response, health.ok ? 200 : 503, "application/json", `${JSON.stringify(health)}\n`);
}

function answer(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { "content-type": type }).end(body);
}
