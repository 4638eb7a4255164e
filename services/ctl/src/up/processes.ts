/** The members of an embedded cluster as supervised processes with a log each. */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PROXY_ENTRY } from "@millrace/faults";
import {
  type ChildEvent,
  describeExit,
  nodeService,
  supervise,
  type Supervised,
} from "@millrace/fleet";
import { CommandError } from "../failure.ts";
import { LogFile } from "./log-file.ts";
import type { Member, MemberRole } from "./members.ts";

/** As long as a service may drain by itself (runtime's `runService`), and a little more. */
const DRAIN_MS_MAX = 32_000;
const PROGRESS_MS = 2_000;
/** Failures in a row before it is running that are taken for a fault of its own. */
const FAILURES_MAX = 4;
const SERVICES = fileURLToPath(new URL("../../../", import.meta.url));

interface Running {
  readonly member: Member;
  readonly child: Supervised;
  readonly log: LogFile;
}

export interface ProcessesOptions {
  readonly members: readonly Member[];
  readonly logDirectory: string;
  /** What people should know: a process that ended and comes back. */
  readonly say: (line: string) => void;
  /** The program of a role; the service's own unless a test says otherwise. */
  readonly entryOf?: (role: MemberRole) => string;
  readonly onEvent?: (event: ChildEvent) => void;
}

/** The file that Node runs for a role. */
export const programOf = (role: MemberRole): string =>
  role === "fault-proxy" ? PROXY_ENTRY : join(SERVICES, role, "src", "main.ts");

export class Processes implements AsyncDisposable {
  readonly #running: readonly Running[];
  readonly #say: (line: string) => void;
  #ending = false;

  constructor(options: ProcessesOptions) {
    this.#say = options.say;
    const entryOf = options.entryOf ?? programOf;
    this.#running = options.members.map((member) => {
      const log = new LogFile(join(options.logDirectory, `${member.id}.log`));
      const child = supervise({
        name: member.id,
        ...nodeService(entryOf(member.role), member.env),
        onLine: (line) => log.write(line),
        onEvent: (event) => {
          options.onEvent?.(event);
          this.#noticed(event);
        },
      });
      return { member, child, log };
    });
  }

  /**
   * @throws CommandError with its last words when a process refuses its configuration or ends again
   *   and again, so that nobody waits for it.
   */
  check(): void {
    for (const { member, child, log } of this.#running) {
      const { end } = child;
      if (end === undefined && child.restarts < FAILURES_MAX) continue;
      const reason = end === undefined ? "ends at every start" : `${end.reason} (${end.detail})`;
      const words = log.lastLines.map((line) => `  ${line}`).join("\n");
      throw new CommandError(`${member.id}: ${reason}\n${words}`, `its log is ${log.path}`);
    }
  }

  childOf(id: string): Supervised | undefined {
    return this.#running.find(({ member }) => member.id === id)?.child;
  }

  /** Ends what takes requests first, so that the rest can still answer what was taken. */
  async stop(): Promise<void> {
    this.#ending = true;
    const progress = setInterval(() => {
      const left = this.#running.filter(({ child }) => child.state !== "ended");
      this.#say(`still draining: ${left.map(({ member }) => member.id).join(", ")}`);
    }, PROGRESS_MS);
    // Faults are healed before anything else, and the way to NATS is there to the end.
    await this.#stopWhere((role) => role === "chaos-monkey", DRAIN_MS_MAX);
    await this.#stopWhere((role) => role === "ingress", DRAIN_MS_MAX);
    await this.#stopWhere((role) => role !== "fault-proxy", DRAIN_MS_MAX);
    await this.#stopWhere(() => true, DRAIN_MS_MAX);
    clearInterval(progress);
    for (const { log } of this.#running) log[Symbol.dispose]();
  }

  /** Ends all at once, drained or not. */
  async kill(): Promise<void> {
    this.#ending = true;
    await this.#stopWhere(() => true, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stopWhere(condition: (role: MemberRole) => boolean, graceMs: number): Promise<void> {
    const chosen = this.#running.filter(({ member }) => condition(member.role));
    await Promise.all(chosen.map(({ child }) => child.stop(graceMs)));
  }

  #noticed(event: ChildEvent): void {
    if (this.#ending) return;
    if (event.type === "failed") {
      const { name, exit, restartInMs } = event;
      this.#say(`${name}: ${describeExit(exit)}, starts again in ${restartInMs} ms`);
    } else if (event.type === "ended") {
      this.#say(`${event.name}: ${event.reason} (${event.detail}), is not started again`);
    }
  }
}
