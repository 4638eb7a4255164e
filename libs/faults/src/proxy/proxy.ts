/**
 * The fault proxy: between each member and the broker, with a small HTTP interface on loopback that
 * adds and removes effects. Every effect has a lease and ends by itself, whoever asked for it.
 */

import { timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { decodeJson, FAULT_US_MAX } from "@millrace/protocol";
import * as v from "valibot";
import { effectSchema } from "./conditions.ts";
import { Link, type LinkCounters } from "./link.ts";
import type { ProxySettings } from "./settings.ts";

const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

export const leaseSchema = v.object({
  /** The fault's; the same again replaces it. */
  id: v.pipe(v.string(), v.minLength(1), v.maxLength(128)),
  members: v.pipe(v.array(v.string()), v.minLength(1), v.maxLength(1_000)),
  effect: effectSchema,
  durationUs: v.pipe(whole, v.minValue(1), v.maxValue(FAULT_US_MAX)),
  seed: whole,
});
export type Lease = v.InferOutput<typeof leaseSchema>;

/** What `GET /links` answers, by member. */
export type LinkReport = Readonly<
  Record<
    string,
    LinkCounters & { readonly ports: readonly number[]; readonly effects: readonly string[] }
  >
>;

const HOST = "127.0.0.1";
const BODY_BYTES_MAX = 256 * 1024;
const LEASES_MAX = 1_000;

export class FaultProxy implements AsyncDisposable {
  readonly #token: Buffer;
  readonly #links: ReadonlyMap<string, Link>;
  readonly #control: Server;
  readonly #leases = new Map<
    string,
    { readonly members: readonly string[]; readonly timer: NodeJS.Timeout }
  >();

  private constructor(token: string, links: readonly Link[]) {
    this.#token = Buffer.from(token);
    this.#links = new Map(links.map((link) => [link.member, link]));
    this.#control = createServer((request, response) => {
      // A request that breaks, or whose path is no text, is its sender's mistake: links go on.
      this.#handle(request, response).catch(() => response.destroy());
    });
    this.#control.maxConnections = 64; // I6
  }

  /** @throws Error where a port is taken. */
  static async start(settings: ProxySettings): Promise<FaultProxy> {
    const links = await Promise.all(settings.links.map((link) => Link.open(link)));
    const proxy = new FaultProxy(settings.token, links);
    proxy.#control.listen(settings.controlPort, HOST);
    await once(proxy.#control, "listening");
    return proxy;
  }

  get controlPort(): number {
    return (this.#control.address() as { readonly port: number }).port;
  }

  /** Of a member's link, in the order of its upstreams. */
  ports(member: string): readonly number[] {
    return this.#links.get(member)?.ports ?? [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of this.#leases.keys()) this.#end(id);
    this.#control.close();
    this.#control.closeAllConnections();
    await Promise.all([...this.#links.values()].map((link) => link[Symbol.asyncDispose]()));
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const shown = Buffer.from((request.headers.authorization ?? "").replace(/^Bearer /, ""));
    const known = shown.length === this.#token.length && timingSafeEqual(shown, this.#token);
    if (!known) return answer(response, 401, { error: "the token is missing or wrong" }); // I9
    const { method = "", url = "" } = request;
    if (method === "GET" && url === "/links") return answer(response, 200, this.#report());
    if (method === "DELETE" && url.startsWith("/leases/")) {
      this.#end(decodeURIComponent(url.slice("/leases/".length)));
      return answer(response, 200, {});
    }
    if (method !== "POST" || url !== "/leases") return answer(response, 404, { error: "no route" });
    const body = await readBody(request);
    if (body === undefined) return answer(response, 413, { error: "the body is too large" });
    const lease = decodeJson(leaseSchema, body);
    if (!lease.ok) return answer(response, 400, { error: lease.error.message });
    const wrong = this.#begin(lease.value);
    return wrong === undefined
      ? answer(response, 200, {})
      : answer(response, 409, { error: wrong });
  }

  /** Undefined, or why not. */
  #begin({ id, members, effect, durationUs, seed }: Lease): string | undefined {
    const missing = members.find((member) => !this.#links.has(member));
    if (missing !== undefined) return `${missing} has no link here`;
    this.#end(id);
    if (this.#leases.size >= LEASES_MAX) return `at most ${LEASES_MAX} leases`;
    for (const member of members) this.#links.get(member)?.add(id, effect, seed);
    const timer = setTimeout(() => this.#end(id), durationUs / 1000);
    this.#leases.set(id, { members, timer });
    return undefined;
  }

  #end(id: string): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    this.#leases.delete(id);
    clearTimeout(lease.timer);
    for (const member of lease.members) this.#links.get(member)?.remove(id);
  }

  #report(): LinkReport {
    return Object.fromEntries(
      [...this.#links].map(([member, { counters, ports, effects }]) => [
        member,
        { ...counters, ports, effects },
      ]),
    );
  }
}

async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
