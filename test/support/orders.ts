/** Orders to a chaos-monkey, and what its journal says of them. */

import type { Bus } from "@millrace/bus";
import {
  type Blast,
  CHAOS_COMMAND,
  CHAOS_JOURNAL,
  type ChaosEvent,
  chaosEventSchema,
  type ChaosReply,
  chaosReplySchema,
  decodeJson,
  encodeJson,
  type FaultEnd,
  type FaultKind,
  type FaultRecord,
  type FaultTarget,
  type OptionValue,
} from "@millrace/protocol";
import { present } from "@millrace/std";

const ANSWER_MS_MAX = 20_000;

export interface Order {
  readonly kind: FaultKind;
  readonly target: FaultTarget;
  readonly durationUs: number;
  readonly options?: Readonly<Record<string, OptionValue>>;
}

type Done = Extract<ChaosReply, { readonly ok: true }>;

export class Orders {
  readonly events: ChaosEvent[] = [];
  readonly #bus: Bus;

  /** As `admin`; until the connection ends. */
  constructor(bus: Bus) {
    this.#bus = bus;
    bus.subscribe(CHAOS_JOURNAL, (bytes) => {
      const event = decodeJson(chaosEventSchema, bytes);
      if (!event.ok) throw new Error(`the journal: ${event.error.message}`);
      // One may come twice when a fault hits the broker; the numbers of another monkey begin anew.
      const { number, atUs } = event.value;
      const known = this.events.some((one) => one.number === number && one.atUs === atUs);
      if (!known) this.events.push(event.value);
    });
  }

  async ask(command: object): Promise<ChaosReply> {
    const timeout = ANSWER_MS_MAX;
    const { data } = await this.#bus.connection.request(CHAOS_COMMAND, encodeJson(command), {
      timeout,
    });
    const reply = decodeJson(chaosReplySchema, data);
    if (!reply.ok) throw new Error(`the chaos-monkey: ${reply.error.message}`);
    return reply.value;
  }

  /** @throws Error with the code of a refusal. */
  async inject(fault: Order, blast?: Blast): Promise<FaultRecord> {
    const order = { v: 1, op: "inject", fault, ...(blast === undefined ? {} : { blast }) };
    return present(this.#done(await this.ask(order)).fault, "the fault");
  }

  async heal(id: string): Promise<void> {
    this.#done(await this.ask({ v: 1, op: "heal", id }));
  }

  /** Undefined while it is under way. */
  end(id: string): FaultEnd | undefined {
    return this.events.find(({ event, fault }) => event === "ended" && fault?.id === id)?.end;
  }

  #done(reply: ChaosReply): Done {
    if (reply.ok) return reply;
    throw new Error(`${reply.error.code}: ${reply.error.message}`);
  }
}
