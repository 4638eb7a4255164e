/**
 * The NATS protocol by hand: a client that can try anything with any key, and knows what the server
 * refused because the server works off a connection in order.
 */

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { fromSeed } from "@nats-io/nkeys";

export class Wire implements Disposable {
  readonly #socket: Socket;
  readonly #errors: string[] = [];
  readonly #waiting: (() => void)[] = [];
  /** Subjects of the messages that came in. */
  readonly received: string[] = [];

  constructor(socket: Socket, lines: AsyncIterator<string>) {
    this.#socket = socket;
    void this.#read(lines);
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  /** Which of the subjects the server does not let this user publish on. */
  async refusedPublishes(subjects: readonly string[]): Promise<ReadonlySet<string>> {
    for (const subject of subjects) this.#socket.write(`PUB ${subject} 0\r\n\r\n`);
    return this.#refused("Publish");
  }

  /** Which of the subjects the server does not let this user listen on. */
  async refusedSubscriptions(subjects: readonly string[]): Promise<ReadonlySet<string>> {
    subjects.forEach((subject, at) => this.#socket.write(`SUB ${subject} ${at + 1}\r\n`));
    return this.#refused("Subscription");
  }

  async publish(subject: string, reply = ""): Promise<void> {
    this.#socket.write(`PUB ${subject} ${reply} 0\r\n\r\n`);
    await this.flush();
  }

  /** Resolves when the server has worked off everything sent so far. */
  async flush(): Promise<void> {
    const answered = new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#socket.write("PING\r\n");
    await answered;
  }

  async #refused(verb: "Publish" | "Subscription"): Promise<ReadonlySet<string>> {
    await this.flush();
    const refused = new Set<string>();
    for (const error of this.#errors.splice(0)) {
      const subject = new RegExp(`Permissions Violation for ${verb} to "([^"]*)"`).exec(error)?.[1];
      if (subject === undefined) throw new Error(`the server says ${error}`);
      refused.add(subject);
    }
    return refused;
  }

  async #read(lines: AsyncIterator<string>): Promise<void> {
    for (;;) {
      const { value, done } = await lines.next();
      if (done === true) return;
      const [verb, subject] = value.split(" ");
      if (verb === "PING") this.#socket.write("PONG\r\n");
      else if (verb === "PONG") this.#waiting.shift()?.();
      else if (verb === "-ERR") this.#errors.push(value);
      else if (verb === "MSG" && subject !== undefined) this.received.push(subject);
    }
  }
}

/** Connects with a seed, or with none. @throws Error with the server's words when it refuses. */
export async function openWire(url: string, seed?: string): Promise<Wire> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  await once(socket, "connect");
  const lines = createInterface({ input: socket, crlfDelay: Infinity })[Symbol.asyncIterator]();
  const greeting = String((await lines.next()).value);
  const { nonce } = JSON.parse(greeting.slice("INFO ".length)) as { nonce: string };
  const options = { verbose: false, pedantic: false, name: "wire", protocol: 1, lang: "test" };
  socket.write(`CONNECT ${JSON.stringify({ ...options, ...signed(nonce, seed) })}\r\nPING\r\n`);
  const answer = String((await lines.next()).value);
  if (answer !== "PONG") {
    socket.destroy();
    throw new Error(answer);
  }
  return new Wire(socket, lines);
}

function signed(nonce: string, seed: string | undefined): object {
  if (seed === undefined) return {};
  const pair = fromSeed(Buffer.from(seed));
  const signature = Buffer.from(pair.sign(Buffer.from(nonce))).toString("base64url");
  return { nkey: pair.getPublicKey(), sig: signature };
}
