/**
 * The broker and everyone's connection to it. A letter takes the delay of its link and keeps its
 * place behind the letters before it, as on one connection; faults can lose, repeat and reorder
 * letters, cut a link in one direction, end a connection, and restart the broker, which loses
 * everything on its way. As in NATS core, nobody is told that a letter was lost.
 */

import type { Random } from "@millrace/std";
import type { Timeline } from "./timeline.ts";

/** What a letter is about; the subjects of the cluster without their ids. */
export type Channel =
  | "ticket"
  | "done"
  | "assign"
  | "command"
  | "answer"
  | "fetch"
  | "tensor"
  | "schedulerBeat"
  | "workerBeat"
  | "ingressBeat"
  | "disconnect";

export interface Letter {
  readonly from: string;
  readonly channel: Channel;
  readonly bytes: Uint8Array;
}

/** Whoever has a connection. */
export interface Member {
  readonly id: string;
  readonly hears: ReadonlySet<Channel>;
  receive(letter: Letter): void;
  connectionChanged(connected: boolean): void;
}

export interface NetworkOptions {
  readonly delayUs: number;
  /** Mean of what chance adds to a delay. */
  readonly jitterUs: number;
  readonly loss: number;
  readonly duplication: number;
  readonly reordering: number;
  /** How late a letter may be that was reordered or repeated. */
  readonly lateUs: number;
}

interface Connection {
  readonly member: Member;
  /** Rises when a connection ends: what was on its way to it is lost. */
  epoch: number;
  connected: boolean;
}

const RECONNECT_US = 50_000;

export class Network {
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #options: NetworkOptions;
  readonly #connections = new Map<string, Connection>();
  readonly #cut = new Map<string, number>();
  readonly #lastUs = new Map<string, number>();
  /** What is added to the delay of every letter to and from a member. */
  readonly #slowUs = new Map<string, number>();
  #faulty = true;
  #brokerUp = true;
  sent = 0;
  lost = 0;

  constructor(timeline: Timeline, random: Random, options: NetworkOptions) {
    this.#timeline = timeline;
    this.#random = random;
    this.#options = options;
  }

  /** A process has started; a process of the same id from before is gone. */
  join(member: Member): void {
    const epoch = (this.#connections.get(member.id)?.epoch ?? 0) + 1;
    const connection = { member, epoch, connected: false };
    this.#connections.set(member.id, connection);
    this.#connect(connection);
  }

  /** The process has ended. `noticed`: the broker saw its connection end. */
  leave(id: string, noticed: boolean): void {
    const connection = this.#connections.get(id);
    if (connection === undefined) return;
    this.#connections.delete(id);
    if (connection.connected && noticed) this.#announce(id);
  }

  get brokerUp(): boolean {
    return this.#brokerUp;
  }

  isConnected(id: string): boolean {
    return this.#connections.get(id)?.connected === true;
  }

  /** False when the sender has no connection, and nothing was sent. */
  send(to: string, letter: Letter): boolean {
    if (!this.isConnected(letter.from)) return false;
    this.#carry(to, letter);
    return true;
  }

  /** To everyone else that listens to the channel. */
  publish(letter: Letter): boolean {
    if (!this.isConnected(letter.from)) return false;
    for (const { member } of this.#connections.values()) {
      if (member.id !== letter.from && member.hears.has(letter.channel)) {
        this.#carry(member.id, letter);
      }
    }
    return true;
  }

  /** Letters from one to the other vanish. Cuts of the same link add up. */
  cut(from: string, to: string): void {
    const link = linkOf(from, to);
    this.#cut.set(link, (this.#cut.get(link) ?? 0) + 1);
  }

  mend(from: string, to: string): void {
    const link = linkOf(from, to);
    const cuts = (this.#cut.get(link) ?? 0) - 1;
    if (cuts > 0) this.#cut.set(link, cuts);
    else this.#cut.delete(link);
  }

  /** Letters to and from the member take so much longer; 0 ends that. */
  slow(id: string, us: number): void {
    this.#slowUs.set(id, us);
  }

  /** The connection breaks and is made again by the process. */
  disconnect(id: string, noticed: boolean): void {
    const connection = this.#connections.get(id);
    if (connection === undefined || !connection.connected) return;
    this.#drop(connection);
    if (noticed) this.#announce(id);
    this.#reconnect(connection);
  }

  /** Everyone's connection breaks; nobody is told about the others. */
  stopBroker(): void {
    this.#brokerUp = false;
    for (const connection of this.#connections.values()) {
      if (connection.connected) this.#drop(connection);
    }
  }

  startBroker(): void {
    if (this.#brokerUp) return;
    this.#brokerUp = true;
    for (const connection of this.#connections.values()) this.#reconnect(connection);
  }

  /** No more faults of its own, and every cut mended. */
  heal(): void {
    this.#faulty = false;
    this.#cut.clear();
    this.#slowUs.clear();
    this.startBroker();
  }

  #connect(connection: Connection): void {
    if (!this.#brokerUp || connection.connected) return;
    connection.connected = true;
    connection.member.connectionChanged(true);
  }

  #drop(connection: Connection): void {
    connection.connected = false;
    connection.epoch++;
    connection.member.connectionChanged(false);
  }

  #reconnect(connection: Connection): void {
    const { id } = connection.member;
    this.#timeline.after(RECONNECT_US + this.#random.below(RECONNECT_US), () => {
      if (this.#connections.get(id) === connection) this.#connect(connection);
    });
  }

  /** The broker passes on what came by a connection before it says that the connection ended. */
  #announce(id: string): void {
    const bytes = new TextEncoder().encode(JSON.stringify({ client: { name: id } }));
    for (const { member } of this.#connections.values()) {
      if (member.id === id || !member.hears.has("disconnect")) continue;
      this.#carry(member.id, { from: "broker", channel: "disconnect", bytes }, id);
    }
  }

  /** @param behind whose letters are there before it, as the sender's own are. */
  #carry(to: string, letter: Letter, behind = letter.from): void {
    const connection = this.#connections.get(to);
    this.sent++;
    const { loss, duplication, reordering, lateUs } = this.#options;
    const faulty = this.#faulty;
    const link = linkOf(behind, to);
    const cut = this.#cut.has(linkOf(letter.from, to));
    const gone = cut || (faulty && loss > 0 && this.#random.chance(loss));
    if (connection === undefined || !connection.connected || gone) {
      this.lost++;
      return;
    }
    const slowUs = (this.#slowUs.get(letter.from) ?? 0) + (this.#slowUs.get(to) ?? 0);
    const ownUs = this.#timeline.nowUs + this.#delayUs() + slowUs;
    let atUs = Math.max(ownUs, this.#lastUs.get(link) ?? 0);
    if (faulty && reordering > 0 && this.#random.chance(reordering)) {
      atUs = ownUs + this.#random.below(lateUs);
    } else this.#lastUs.set(link, atUs);
    this.#deliver(connection, letter, atUs);
    if (faulty && duplication > 0 && this.#random.chance(duplication)) {
      this.#deliver(connection, letter, atUs + this.#random.below(lateUs));
    }
  }

  #deliver(connection: Connection, letter: Letter, atUs: number): void {
    const { epoch } = connection;
    this.#timeline.at(atUs, () => {
      const current = this.#connections.get(connection.member.id);
      if (current === connection && connection.epoch === epoch) connection.member.receive(letter);
      else this.lost++;
    });
  }

  #delayUs(): number {
    const { delayUs, jitterUs } = this.#options;
    return delayUs + Math.floor(this.#random.exponential(jitterUs));
  }
}

const linkOf = (from: string, to: string): string => `${from} ${to}`;
