/** Workers as supervised processes of this machine. They end with the driver, however it ends. */

import { ok } from "@millrace/std";
import type { FleetMember, FleetResult, Pool } from "./driver.ts";
import type { InstanceHost } from "./instances.ts";
import {
  type ChildEvent,
  describeExit,
  supervise,
  type Supervised,
  type SuperviseOptions,
} from "./supervise.ts";

/** How a member's process is started, and where it says that it is ready. */
export interface Launch extends Omit<SuperviseOptions, "name"> {
  /** Answers 2xx once the member is ready; a member without one is ready once it runs. */
  readonly healthUrl?: string;
}

export interface ProcessHostOptions {
  /** It passes {@link memberVariables} on in the environment. */
  readonly launch: (id: string, pool: Pool) => Launch;
  /** From SIGTERM to SIGKILL. */
  readonly drainMsMax?: number;
  /** Between two starts: a process that starts takes its time from those that serve here. */
  readonly startGapMs?: number;
}

/** As long as a service may drain by itself (runtime's `runService`), and a little more. */
export const DRAIN_MS_MAX = 32_000;
const HEALTH_MS_MAX = 1_000;

/** What every member is told of itself, whichever driver starts it. */
export const memberVariables = (id: string, pool: Pool): Readonly<Record<string, string>> => ({
  MILLRACE_ID: id,
  MILLRACE_KIND: pool.kind,
  MILLRACE_ZONE: pool.zone,
  MILLRACE_LIFECYCLE: pool.lifecycle,
});

interface Running {
  readonly pool: Pool;
  readonly child: Supervised;
  readonly healthUrl: string | undefined;
  /** The latest failure. */
  problem: string | undefined;
  draining: boolean;
}

export class ProcessHost implements InstanceHost {
  readonly name = "processes";
  readonly #options: ProcessHostOptions;
  readonly #running = new Map<string, Running>();
  #nextStartMs = 0;

  constructor(options: ProcessHostOptions) {
    this.#options = options;
  }

  async list(): Promise<FleetResult<readonly FleetMember[]>> {
    const members = [...this.#running].map(([id, running]) => describe(id, running));
    return ok(await Promise.all(members));
  }

  async start(id: string, pool: Pool): Promise<FleetResult<void>> {
    const { healthUrl, onEvent, ...launch } = this.#options.launch(id, pool);
    const notice = (event: ChildEvent): void => {
      const running = this.#running.get(id);
      if (event.type === "failed" && running !== undefined) {
        running.problem = `${describeExit(event.exit)}, again in ${event.restartInMs} ms`;
      }
      onEvent?.(event);
    };
    const startInMs = this.#startInMs();
    const child = supervise({ ...launch, name: id, startInMs, onEvent: notice });
    const running = { pool, child, healthUrl, problem: undefined, draining: false };
    this.#running.set(id, running);
    return ok(undefined);
  }

  async end(id: string): Promise<FleetResult<void>> {
    const running = this.#running.get(id);
    if (running !== undefined && !running.draining) {
      running.draining = true;
      void running.child
        .stop(this.#options.drainMsMax ?? DRAIN_MS_MAX)
        .finally(() => this.#running.delete(id));
    }
    return ok(undefined);
  }

  #startInMs(): number {
    const nowMs = performance.now();
    const atMs = Math.max(nowMs, this.#nextStartMs);
    this.#nextStartMs = atMs + (this.#options.startGapMs ?? 0);
    return atMs - nowMs;
  }

  /** The process of a member, for whoever injects faults; undefined between two starts. */
  pidOf(id: string): number | undefined {
    return this.#running.get(id)?.child.pid;
  }

  async close(): Promise<void> {
    const graceMs = this.#options.drainMsMax ?? DRAIN_MS_MAX;
    await Promise.all([...this.#running.values()].map(({ child }) => child.stop(graceMs)));
    this.#running.clear();
  }
}

async function describe(id: string, running: Running): Promise<FleetMember> {
  const { child, draining, pool, problem } = running;
  const end = child.end;
  if (draining) return { id, ...pool, state: "draining" };
  if (end !== undefined) {
    return { id, ...pool, state: "gone", detail: `${end.reason} (${end.detail})` };
  }
  const ready = child.state === "running" && (await isHealthy(running.healthUrl));
  if (ready) return { id, ...pool, state: "ready" };
  return { id, ...pool, state: "starting", ...(problem === undefined ? {} : { detail: problem }) };
}

async function isHealthy(url: string | undefined): Promise<boolean> {
  if (url === undefined) return true;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(HEALTH_MS_MAX) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}
