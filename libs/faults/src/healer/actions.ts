/** What undoes a fault, as data: a process of its own does it when the injector no longer can. */

import { execFile } from "node:child_process";
import { copyFile, rename, rm, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type Bus, connectBus } from "@millrace/bus";
import { decodeJson } from "@millrace/protocol";
import { headers as natsHeaders } from "@nats-io/transport-node";
import * as v from "valibot";
import { readGround } from "../ground.ts";
import { type ProcessMark, signalProcess } from "../processes.ts";
import { ProxyControl } from "../proxy/control.ts";

export type HealAction =
  | { readonly type: "signal"; readonly mark: ProcessMark; readonly signal: NodeJS.Signals }
  /** To whatever process the member is by then. */
  | {
      readonly type: "signalMember";
      readonly groundFile: string;
      readonly id: string;
      readonly signal: NodeJS.Signals;
    }
  | { readonly type: "removeFile"; readonly path: string }
  /** Puts a copy that was made before back in its place. */
  | { readonly type: "restoreFile"; readonly path: string; readonly copy: string }
  | {
      readonly type: "endLease";
      readonly controlPort: number;
      readonly token: string;
      readonly id: string;
    }
  /** A request on NATS that must be answered. */
  | {
      readonly type: "ask";
      readonly access: BrokerAccess;
      readonly subject: string;
      readonly payload: string;
      readonly headers: Readonly<Record<string, string>>;
      /** No answer is as good as one: the hook died with its process. */
      readonly optional: boolean;
    }
  | { readonly type: "command"; readonly command: string; readonly args: readonly string[] };

/** How the healer reaches NATS by itself. */
export interface BrokerAccess {
  readonly servers: readonly string[];
  /** It travels in the healer's pipe, and is never in an argument or a variable. */
  readonly seed: string | undefined;
  readonly inboxPrefix: string;
}

const refusalSchema = v.object({ error: v.object({ description: v.string() }) });
/** A broker may be on its way back. */
const TRIES = 40;
const TRY_AGAIN_MS = 250;
const ASK_MS = 1_000;
const COMMAND_MS = 20_000;

/** @throws Error where it could not be undone, after it was tried again for ten seconds. */
export async function undo(action: HealAction): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await undoOnce(action);
    } catch (error) {
      if (tries === TRIES) throw error;
      await sleep(TRY_AGAIN_MS);
    }
  }
}

async function undoOnce(action: HealAction): Promise<void> {
  switch (action.type) {
    case "signal":
      // A process that is gone needs none.
      signalProcess(action.mark, action.signal);
      return;
    case "signalMember": {
      const { members } = readGround(action.groundFile);
      const mark = members.find(({ id }) => id === action.id)?.process;
      // One that starts meanwhile reads what was restored before.
      if (mark !== undefined) signalProcess(mark, action.signal);
      return;
    }
    case "removeFile":
      return rm(action.path, { force: true });
    case "restoreFile":
      return restore(action.path, action.copy);
    case "endLease":
      // A proxy that cannot be reached has no leases, or ends them by itself.
      return new ProxyControl(action).end(action.id).catch(() => undefined);
    case "ask":
      return ask(action);
    case "command":
      await promisify(execFile)(action.command, [...action.args], { timeout: COMMAND_MS });
      return;
  }
}

/** Done again it does nothing: the copy is gone once it is in place. */
async function restore(path: string, copy: string): Promise<void> {
  const there = await stat(copy).catch(() => undefined);
  if (there === undefined) return;
  const part = `${path}.part`;
  await copyFile(copy, part);
  await rename(part, path);
  await rm(copy, { force: true });
}

/** @throws Error where the answer is JetStream's refusal, of a full disk for example. */
export function checkAnswer(subject: string, answer: Uint8Array): void {
  const refusal = decodeJson(refusalSchema, answer);
  if (refusal.ok) throw new Error(`${subject}: ${refusal.value.error.description}`);
}

async function ask(action: Extract<HealAction, { readonly type: "ask" }>): Promise<void> {
  const { access, subject, payload, headers, optional } = action;
  const signal = AbortSignal.timeout(ASK_MS * 2);
  const silent = (): void => undefined;
  const log = { debug: silent, info: silent, warn: silent, error: silent };
  const { servers, seed, inboxPrefix } = access;
  let bus: Bus | undefined;
  try {
    bus = await connectBus({ servers, name: "healer", seed, inboxPrefix, log, signal });
    const head = natsHeaders();
    for (const [key, value] of Object.entries(headers)) head.set(key, value);
    const { data } = await bus.connection.request(subject, Buffer.from(payload, "base64"), {
      timeout: ASK_MS,
      headers: head,
    });
    checkAnswer(subject, data);
  } catch (error) {
    if (!optional) throw error;
  } finally {
    await bus?.drain();
  }
}

/** A target that is let run and frozen in turns. */
export interface Throttle {
  readonly marks: readonly ProcessMark[];
  /** Of each period in which it runs. */
  readonly share: number;
  readonly periodUs: number;
}

export class Throttling implements Disposable {
  readonly #throttle: Throttle;
  #timer: NodeJS.Timeout | undefined;

  constructor(throttle: Throttle) {
    this.#throttle = throttle;
    this.#turn("SIGSTOP");
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    for (const mark of this.#throttle.marks) signalProcess(mark, "SIGCONT");
  }

  #turn(signal: "SIGSTOP" | "SIGCONT"): void {
    const { marks, share, periodUs } = this.#throttle;
    for (const mark of marks) signalProcess(mark, signal);
    const runs = signal === "SIGCONT";
    const ms = ((runs ? share : 1 - share) * periodUs) / 1000;
    this.#timer = setTimeout(() => this.#turn(runs ? "SIGSTOP" : "SIGCONT"), ms);
  }
}
