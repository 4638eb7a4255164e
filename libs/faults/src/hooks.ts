/**
 * Faults inside this process, armed over NATS. Nothing here exists unless faults are enabled: the
 * caller asks for it, and only then is there a subscription.
 */

import type { Bus } from "@millrace/bus";
import {
  decodeJson,
  encodeJson,
  type Hook,
  type HookCommand,
  hookCommandSchema,
  subjects,
} from "@millrace/protocol";
import type { Log } from "@millrace/std";

/** Begins it, and returns what ends it; a text says why it cannot be. */
export type HookHandler = (command: HookCommand) => (() => void) | string;

export interface HookOptions {
  readonly bus: Bus;
  readonly role: string;
  readonly id: string;
  readonly handlers: Partial<Readonly<Record<Hook, HookHandler>>>;
  readonly log: Log;
}

interface Armed {
  readonly end: () => void;
  readonly timer: NodeJS.Timeout;
}

/** Answers until the connection ends. What was armed ends when its time is over, or when healed. */
export function serveHooks({ bus, role, id, handlers, log }: HookOptions): void {
  const armed = new Map<string, Armed>();
  const end = (key: string): void => {
    const one = armed.get(key);
    if (one === undefined) return;
    armed.delete(key);
    clearTimeout(one.timer);
    one.end();
    log.warn({ hook: key }, "a fault is over");
  };
  const obey = (command: HookCommand): string => {
    const { hook, options, durationUs } = command;
    if (hook === "heal") {
      end(keyOf(String(options["of"]), options));
      return "";
    }
    const handler = hook === "log-flood" ? floodOf(log) : handlers[hook];
    if (handler === undefined) return `a ${role} has no ${hook}`;
    const key = keyOf(hook, options);
    end(key);
    const begun = handler(command);
    if (typeof begun === "string") return begun;
    const timer = setTimeout(() => end(key), durationUs / 1000);
    timer.unref();
    armed.set(key, { end: begun, timer });
    log.warn({ hook: key, options, durationUs }, "a fault is injected into this process");
    return "";
  };
  bus.connection.subscribe(subjects.chaosHook(role, id), {
    callback: (error, message) => {
      if (error !== null) return;
      const command = decodeJson(hookCommandSchema, message.data);
      const detail = command.ok ? obey(command.value) : command.error.message;
      message.respond(encodeJson({ ok: detail === "", detail }));
    },
  });
}

/** More than a pipe and a logger hold of what nobody reads: 2 MiB. */
const FLOOD_LINES = 2_048;
const FLOOD_LINE = "x".repeat(1_024);

const floodOf =
  (log: Log): HookHandler =>
  () => {
    for (let line = 0; line < FLOOD_LINES; line++) log.warn({ line }, FLOOD_LINE);
    return () => undefined;
  };

/** A supervisor has the same hook for each of its members. */
const keyOf = (hook: string, options: HookCommand["options"]): string =>
  "member" in options ? `${hook}:${String(options["member"])}` : hook;

/** Every use of the wall clock in this process is wrong by so much, until it is ended. */
export function skewClock(skewUs: number): () => void {
  const Right = globalThis.Date;
  const skewMs = skewUs / 1000;
  class Skewed extends Right {
    constructor(...args: readonly unknown[]) {
      // Only the time of now is wrong: what is given to it stays as it is.
      super(...((args.length === 0 ? [Right.now() + skewMs] : args) as []));
    }

    static override now(): number {
      return Right.now() + skewMs;
    }
  }
  globalThis.Date = Skewed as DateConstructor;
  return () => {
    globalThis.Date = Right;
  };
}

/** For any service: its wall clock. */
export const clockHook: HookHandler = ({ options }) => skewClock(Number(options["skewUs"] ?? 0));
