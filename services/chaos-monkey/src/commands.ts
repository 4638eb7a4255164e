/** Answers what is asked on NATS: each command is checked whole before anything is touched. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Bus } from "@millrace/bus";
import { type FaultWorld, residentBytesOf } from "@millrace/faults";
import {
  type Blast,
  CHAOS_COMMAND,
  type ChaosCommand,
  chaosCommandSchema,
  type ChaosReply,
  checkFaultSpec,
  checkValue,
  type Drawing,
  encodeJson,
  type Fault,
  fault,
  FAULT_KINDS,
} from "@millrace/protocol";
import { fail, ok, type Result, unreachable } from "@millrace/std";
import { type Desk, recordOf } from "./desk.ts";
import { isFlushed } from "./flushed.ts";
import type { Journal } from "./journal.ts";

export interface CommandParts {
  readonly bus: Bus;
  readonly desk: Desk;
  readonly world: FaultWorld;
  readonly journal: Journal;
  readonly enabled: boolean;
  /** The monkey mode. */
  readonly monkey: {
    readonly on: boolean;
    readonly start: (drawing: Drawing, blast: Blast) => Result<void, Fault>;
    readonly stop: () => Promise<void>;
  };
}

export interface CommandTotals {
  readonly commands: number;
  readonly refused: number;
  readonly lastRefusal: string | undefined;
}

const RESPOND_AGAIN_MS = 250;
/** Ten seconds: longer than a broker is frozen as a rule, and than it takes to start. */
const RESPOND_TRIES = 40;
const RESPOND_LATE = 4;

type CommandOf<T extends ChaosCommand["op"]> = Extract<ChaosCommand, { readonly op: T }>;
type Answer = Result<Omit<Extract<ChaosReply, { readonly ok: true }>, "ok">, Fault>;

export class Commands {
  readonly #parts: CommandParts;
  #commands = 0;
  #refused = 0;
  #lastRefusal: string | undefined;

  constructor(parts: CommandParts) {
    this.#parts = parts;
    parts.bus.connection.subscribe(CHAOS_COMMAND, {
      callback: (error, { data, reply = "" }) => {
        if (error === null) void this.#take(data, reply);
      },
    });
  }

  get totals(): CommandTotals {
    return { commands: this.#commands, refused: this.#refused, lastRefusal: this.#lastRefusal };
  }

  async #take(bytes: Uint8Array, inbox: string): Promise<void> {
    const reply = await this.#answer(bytes);
    await this.#respond(inbox, encodeJson(reply));
  }

  async #answer(bytes: Uint8Array): Promise<ChaosReply> {
    this.#commands++;
    const command = readCommand(bytes);
    const answer = command.ok ? await this.#obey(command.value) : command;
    if (answer.ok) return { ok: true, ...answer.value };
    const { code, message } = answer.error;
    this.#refused++;
    this.#lastRefusal = `${code}: ${message}`;
    return { ok: false, error: { code, message } };
  }

  /**
   * An order may hit the broker that carries the answer: it is then sent when that is back, and
   * again for as long as the asker may need to come back too.
   */
  async #respond(inbox: string, bytes: Uint8Array): Promise<void> {
    const { bus } = this.#parts;
    if (inbox === "") return;
    const { reconnects } = bus.counters;
    let late = 0;
    for (let tries = 0; tries < RESPOND_TRIES; tries++) {
      const sent = bus.publish(inbox, bytes) && (await isFlushed(bus));
      const whole = bus.counters.reconnects === reconnects;
      if (sent && (whole || ++late === RESPOND_LATE)) return;
      await sleep(RESPOND_AGAIN_MS);
    }
  }

  async #obey(command: ChaosCommand): Promise<Answer> {
    const { desk, enabled, monkey } = this.#parts;
    switch (command.op) {
      case "list":
        return ok(await this.#list());
      case "status":
        return ok({ enabled, monkey: monkey.on, faults: [...desk.running] });
      case "plan": {
        const planned = await desk.plan(command.fault, command.blast, command.seed);
        return planned.ok ? ok({ targets: planned.value.map(({ id }) => id) }) : planned;
      }
      case "inject": {
        const injected = await desk.inject(command.fault, command.blast, command.seed);
        return injected.ok ? ok({ fault: recordOf(injected.value) }) : injected;
      }
      case "heal": {
        const healed = await desk.heal(command.id);
        return healed.ok ? ok({ healed: [...healed.value] }) : healed;
      }
      case "abort":
        return ok({ healed: await this.#abort(command) });
      case "monkey": {
        const started = monkey.start(command.drawing, command.blast);
        return started.ok ? ok({ monkey: true }) : started;
      }
      default:
        return unreachable(command);
    }
  }

  async #list(): Promise<Omit<Extract<ChaosReply, { readonly ok: true }>, "ok">> {
    const { world, enabled } = this.#parts;
    const kinds = await Promise.all(
      FAULT_KINDS.map(async (kind) => {
        const missing = await world.missing(kind);
        return missing === undefined ? { kind } : { kind, missing };
      }),
    );
    const members = (await world.members()).map(({ id, role, pid, container }) => ({
      id,
      role,
      alive: (pid ?? container) !== undefined,
      ...memoryOf(pid),
    }));
    return { enabled, kinds, members };
  }

  async #abort({ reason }: CommandOf<"abort">): Promise<string[]> {
    const { desk, monkey, journal } = this.#parts;
    journal.write({ event: "aborted", detail: reason });
    await monkey.stop();
    return [...(await desk.healAll())];
  }
}

/** A command without an operation plans: nothing is hit by leaving something out. */
function readCommand(bytes: Uint8Array): Result<ChaosCommand, Fault> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    return fail(fault("INVALID_JSON", String(error)));
  }
  const planned =
    typeof value === "object" && value !== null ? { v: 1, op: "plan", ...value } : value;
  const command = checkValue(chaosCommandSchema, planned);
  if (!command.ok || !("fault" in command.value)) return command;
  const spec = checkFaultSpec(command.value.fault);
  return spec.ok ? ok({ ...command.value, fault: spec.value }) : spec;
}

function memoryOf(pid: number | undefined): { memory?: { pid: number; residentBytes: number } } {
  const residentBytes = pid === undefined ? undefined : residentBytesOf(pid);
  return pid === undefined || residentBytes === undefined ? {} : { memory: { pid, residentBytes } };
}
