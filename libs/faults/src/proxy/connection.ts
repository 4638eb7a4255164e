/** One connection of a member, with its two directions, from the accepted socket to both ends. */

import { connect, type Socket } from "node:net";
import type { Random } from "@millrace/std";
import { conditionsOf, type Direction, type Effect } from "./conditions.ts";
import { Pipe, type PipeCounters } from "./pipe.ts";

export interface ConnectionOptions {
  /** Accepted from the member, paused. */
  readonly member: Socket;
  readonly upstream: { readonly host: string; readonly port: number };
  readonly random: Random;
  readonly counters: PipeCounters;
  /** What holds now; asked again at `update`. */
  readonly effects: () => Iterable<Effect>;
  readonly closed: () => void;
}

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #broker: Socket;
  readonly #pipes: Readonly<Record<Direction, Pipe>>;
  #state: "open" | "severed" | "closed" = "open";

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { member, upstream, random, counters } = options;
    this.#broker = connect({ ...upstream, allowHalfOpen: true, noDelay: true });
    const pipe = (source: Socket, sink: Socket): Pipe =>
      new Pipe({ source, sink, random, counters, cut: () => this.reset() });
    this.#pipes = { from: pipe(member, this.#broker), to: pipe(this.#broker, member) };
    this.#watch(member, "from");
    this.#watch(this.#broker, "to");
    this.update();
  }

  /** The effects have changed. */
  update(): void {
    if (this.#state !== "open") return;
    const effects = [...this.#options.effects()];
    this.#pipes.to.conditions = conditionsOf(effects, "to");
    this.#pipes.from.conditions = conditionsOf(effects, "from");
    // An end that was held back is news now.
    if (this.#options.member.destroyed) this.#lost("from");
    else if (this.#broker.destroyed) this.#lost("to");
  }

  /** Both sides see a reset. */
  reset(): void {
    this.#close((socket) => socket.resetAndDestroy());
  }

  /** Dead from now on, and neither side is told. */
  sever(): void {
    if (this.#state !== "open") return;
    this.#state = "severed";
    for (const pipe of Object.values(this.#pipes)) pipe.stop();
    for (const socket of [this.#options.member, this.#broker]) {
      socket.removeAllListeners("data").removeAllListeners("end").pause();
    }
  }

  get severed(): boolean {
    return this.#state === "severed";
  }

  #watch(socket: Socket, towards: Direction): void {
    // What is wrong is told by the close that follows.
    socket.on("error", () => undefined);
    socket.on("close", () => this.#lost(towards));
  }

  /** One side is gone; the other hears of it unless the way there is held. */
  #lost(towards: Direction): void {
    if (this.#state === "severed") return;
    if (conditionsOf(this.#options.effects(), towards).held) return;
    const [gone, left] =
      towards === "from"
        ? [this.#options.member, this.#broker]
        : [this.#broker, this.#options.member];
    // After an end in good order the pipe has ended the other side, or is about to.
    if (gone.readableEnded && !left.destroyed) return;
    this.#close((socket) => socket.destroy());
  }

  #close(end: (socket: Socket) => void): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    for (const pipe of Object.values(this.#pipes)) pipe.stop();
    end(this.#options.member);
    end(this.#broker);
    this.#options.closed();
  }
}
