/** A broker for one test file or test, and connections to it as its users. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Broker, inboxPrefix, startBroker, type User } from "@millrace/broker";
import { type Bus, connectBus } from "@millrace/bus";

export const silent = { debug() {}, info() {}, warn() {}, error() {} };

export class BrokerStand implements AsyncDisposable {
  readonly directory: string;
  /** Another one once a test has stopped it and started it again. */
  broker: Broker;
  /** Ended before the broker. */
  readonly open = new AsyncDisposableStack();

  private constructor(directory: string, broker: Broker) {
    this.directory = directory;
    this.broker = broker;
  }

  static async start(): Promise<BrokerStand> {
    const directory = await mkdtemp(join(tmpdir(), "millrace-forecaster-"));
    return new BrokerStand(directory, await startBroker({ directory }));
  }

  async connect(user: User): Promise<Bus> {
    return this.open.use(
      await connectBus({
        servers: [this.broker.url],
        name: `${user}-test`,
        seed: this.broker.seed(user),
        inboxPrefix: inboxPrefix(user),
        log: silent,
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.open.disposeAsync();
    await this.broker.stop();
    await rm(this.directory, { recursive: true, force: true });
  }
}
