/** A member's way to the broker: its listening ports, its connections, and the effects on them. */

import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { type Random, seededRandom } from "@millrace/std";
import type { Effect } from "./conditions.ts";
import { Connection } from "./connection.ts";
import type { PipeCounters } from "./pipe.ts";

export interface LinkOptions {
  readonly member: string;
  readonly listens: readonly {
    readonly port: number;
    readonly upstream: { readonly host: string; readonly port: number };
  }[];
}

export interface LinkCounters extends PipeCounters {
  connections: number;
  resets: number;
}

const HOST = "127.0.0.1";
/** A member has one; a reconnecting one leaves a few behind for a moment. */
const CONNECTIONS_MAX = 64;

export class Link implements AsyncDisposable {
  readonly member: string;
  readonly counters: LinkCounters = {
    connections: 0,
    resets: 0,
    bytes: 0,
    lost: 0,
    repeated: 0,
    swapped: 0,
    stalled: 0,
  };
  readonly #connections = new Set<Connection>();
  readonly #effects = new Map<
    string,
    { readonly effect: Effect; readonly timer?: NodeJS.Timeout }
  >();
  readonly #servers: Server[] = [];
  #random: Random = seededRandom(0);

  private constructor(member: string) {
    this.member = member;
  }

  /** @throws Error where a port is taken. */
  static async open({ member, listens }: LinkOptions): Promise<Link> {
    const link = new Link(member);
    for (const { port, upstream } of listens) {
      const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
        link.#accept(socket, upstream),
      );
      server.maxConnections = CONNECTIONS_MAX; // I6
      server.listen(port, HOST);
      await once(server, "listening");
      link.#servers.push(server);
    }
    return link;
  }

  /** Where it listens, in the order of its upstreams. */
  get ports(): readonly number[] {
    return this.#servers.map((server) => (server.address() as { readonly port: number }).port);
  }

  get effects(): readonly string[] {
    return [...this.#effects.keys()];
  }

  /** Until `remove`; the seed decides every chance that it takes. */
  add(id: string, effect: Effect, seed: number): void {
    this.remove(id);
    this.#random = seededRandom(seed);
    if (effect.type === "reset") {
      const reset = (): void => {
        for (const connection of this.#connections) {
          this.counters.resets++;
          connection.reset();
        }
      };
      reset();
      if (effect.everyUs === 0) return void this.#effects.set(id, { effect });
      const timer = setInterval(reset, Math.max(1, effect.everyUs / 1000));
      return void this.#effects.set(id, { effect, timer });
    }
    if (effect.type === "sever") for (const connection of this.#connections) connection.sever();
    this.#effects.set(id, { effect });
    this.#update();
  }

  /** What is not there is none to remove. */
  remove(id: string): void {
    const removed = this.#effects.get(id);
    if (removed === undefined) return;
    clearInterval(removed.timer);
    this.#effects.delete(id);
    if (removed.effect.type === "sever") {
      for (const connection of this.#connections) if (connection.severed) connection.reset();
    }
    this.#update();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of this.effects) this.remove(id);
    for (const connection of this.#connections) connection.reset();
    for (const server of this.#servers) {
      server.close();
      await once(server, "close");
    }
  }

  #accept(socket: Socket, upstream: { readonly host: string; readonly port: number }): void {
    this.counters.connections++;
    const connection = new Connection({
      member: socket,
      upstream,
      random: this.#random.fork(),
      counters: this.counters,
      effects: () => this.#effects.values().map(({ effect }) => effect),
      closed: () => this.#connections.delete(connection),
    });
    this.#connections.add(connection);
  }

  #update(): void {
    for (const connection of this.#connections) connection.update();
  }
}
