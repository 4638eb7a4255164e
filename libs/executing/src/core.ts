/**
 * The worker as one state machine: it takes batches for the device, which runs them one at a time,
 * and sees to it that every item that was assigned here gets one answer.
 *
 * I1  an item is answered once, whatever becomes of its batch, its body, its model or the device
 * I2  outputs are matched to items by their place in the run, and nothing reorders a part
 * I3  a part never exceeds the model's limit, and a load begins only with room for it
 * I4  between any two runs the highest tier goes first, the pieces of a split batch included
 * I6  batches, bodies, residents, schedulers and reruns are bounded; see `options.ts`
 */

import type { AssignmentFrame, Device, DoneOutcome, Fault } from "@millrace/protocol";
import { fault } from "@millrace/protocol";
import { formatUs, unreachable } from "@millrace/std";
import { Batch, type Part, rowsOf } from "./batch.ts";
import { asksForProof, blame, retries, verdictOn } from "./bisecting.ts";
import type { RunResult, Want, WorkerEffect, WorkerEvent } from "./events.ts";
import { Handed, type HandedRun, outcomeOf } from "./handed.ts";
import { Heartbeats } from "./heartbeats.ts";
import { WORKER_LIMITS, type WorkerLimits, type WorkerOptions } from "./options.ts";
import {
  BODY_GONE,
  BODY_LATE,
  DEADLINE,
  DRAINING,
  notLoaded,
  OTHER_PROCESS,
  STALE,
  tooMany,
  tooManyBytes,
  tooManyRows,
} from "./refusals.ts";
import { Replies } from "./replies.ts";
import { Residents } from "./residents.ts";
import { RunQueue } from "./run-queue.ts";
import { SeenAssignments } from "./seen.ts";
import { Witnesses } from "./witnesses.ts";

/** One that has `ended` asked for the process's exit, and only refuses. */
type Phase =
  | { readonly name: "ready" }
  | { readonly name: "draining"; readonly sinceUs: number; readonly byUs: number }
  | { readonly name: "ended"; readonly refusal: Fault };

export class WorkerCore {
  readonly #options: WorkerOptions;
  readonly #limits: WorkerLimits;
  readonly #queue = new RunQueue();
  readonly #handed = new Handed();
  readonly #residents: Residents;
  readonly #seen: SeenAssignments;
  readonly #heartbeats = new Heartbeats();
  readonly #witnesses: Witnesses;
  #device: Device;
  #phase: Phase = { name: "ready" };
  #progress = 0;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#limits = { ...WORKER_LIMITS, ...options.limits };
    this.#residents = new Residents(this.#limits);
    this.#seen = new SeenAssignments(this.#limits);
    this.#witnesses = new Witnesses(this.#limits);
    this.#device = options.device;
  }

  /** Batches held, the running one included. */
  get held(): number {
    return this.#queue.size;
  }

  /** When a `woke` event is wanted, in the time of `step`; Infinity once the worker has ended. */
  get wakeAtUs(): number {
    if (this.#phase.name === "ended") return Number.POSITIVE_INFINITY;
    return Math.min(this.#heartbeats.nextUs, this.#queue.wakeAtUs, this.#handed.wakeAtUs);
  }

  /** Takes one event. A run comes first among the effects, so that the device does not wait. */
  step(event: WorkerEvent, nowUs: number): WorkerEffect[] {
    const effects: WorkerEffect[] = [];
    this.#take(event, nowUs, effects);
    this.#giveUp(nowUs, effects);
    if (this.#phase.name === "ended") return effects;
    this.#startRun(nowUs, effects);
    if (this.#phase.name === "ready") this.#startOperation(nowUs, effects);
    this.#beat(nowUs, effects);
    this.#endDrain(nowUs, effects);
    return effects;
  }

  #take(event: WorkerEvent, nowUs: number, effects: WorkerEffect[]): void {
    switch (event.type) {
      case "assigned":
        return this.#assigned(event.frame, nowUs, effects);
      case "bodyArrived": {
        const awaited = this.#queue.endWait(event.ingress, event.seq, event.attempt);
        if (awaited !== undefined) awaited.held.body = event.body;
        return;
      }
      case "bodyGone": {
        const awaited = this.#queue.endWait(event.ingress, event.seq, event.attempt);
        if (awaited !== undefined) {
          this.#refuse(awaited.batch, [awaited.held], BODY_GONE, nowUs, effects);
        }
        return;
      }
      case "commanded":
        if (this.#phase.name !== "ready") return;
        return this.#residents.command(event.command, this.#device.memoryFreeBytes, nowUs);
      case "runEnded":
        return this.#runEnded(event.id, event.result, nowUs, effects);
      case "loadEnded":
        this.#residentsChanged(event.device);
        return this.#residents.loadEnded(event.ref, event.loaded, event.device, nowUs);
      case "unloadEnded":
        this.#residentsChanged(event.device);
        return this.#residents.unloadEnded(event.ref, event.device, nowUs);
      case "deviceRead":
        this.#device = event.device;
        return;
      case "deviceLost": {
        if (this.#phase.name === "ended") return;
        const lost = fault("WORKER_LOST", event.detail);
        return this.#poison(lost, nowUs, effects, this.#handed.running);
      }
      case "audienceChanged":
        return this.#heartbeats.wantModels();
      case "schedulerGone":
        return this.#seen.forget(event.scheduler);
      case "drainBegan":
        return this.#beginDrain(event.byUs, nowUs);
      case "woke":
        return;
      default:
        unreachable(event);
    }
  }

  #assigned(frame: AssignmentFrame, nowUs: number, effects: WorkerEffect[]): void {
    if (frame.incarnation !== this.#options.incarnation) {
      return this.#turnAway(frame, OTHER_PROCESS, nowUs, effects);
    }
    if (!this.#seen.isNew(frame.scheduler, frame.id, nowUs)) return; // I1
    if (this.#phase.name !== "ready") {
      const refusal = this.#phase.name === "ended" ? this.#phase.refusal : DRAINING;
      return this.#turnAway(frame, refusal, nowUs, effects);
    }
    const spec = this.#residents.ready(frame.model);
    if (spec === undefined) return this.#turnAway(frame, notLoaded(frame.model), nowUs, effects);
    if (this.#queue.size >= this.#limits.batchesMax) {
      return this.#turnAway(frame, tooMany(this.#limits.batchesMax), nowUs, effects); // I6
    }
    this.#hold(new Batch(frame, spec, nowUs, this.#limits), nowUs, effects);
  }

  /** Takes a batch in: its bodies within the bound, and the remote ones asked for at once. */
  #hold(batch: Batch, nowUs: number, effects: WorkerEffect[]): void {
    const { frame } = batch;
    const replies = new Replies();
    const wants = new Map<string, Want[]>();
    for (const item of frame.items) {
      const { ingress, seq, attempt } = item;
      if (item.rows > batch.rowsMax) {
        replies.turnAway([item], tooManyRows(batch.rowsMax)); // I3
      } else if (this.#queue.bytes + batch.bytes + item.bodyBytes > this.#limits.bodiesBytesMax) {
        replies.turnAway([item], tooManyBytes(this.#limits.bodiesBytesMax)); // I6
      } else if (!item.remote) {
        batch.add(item);
      } else if (!this.#queue.isAwaited(ingress, seq, attempt)) {
        this.#queue.await(batch, batch.add(item));
        const want = { seq, attempt, bytes: item.bodyBytes };
        const list = wants.get(ingress);
        if (list === undefined) wants.set(ingress, [want]);
        else list.push(want);
      }
    }
    this.#queue.hold(batch);
    for (const [ingress, list] of wants) effects.push({ type: "fetch", ingress, wants: list });
    this.#reply(frame.model, replies, effects);
    this.#closeIfDone(batch, nowUs, effects);
  }

  /** Gives up what waited past its time, and a device that does not come back from a run. */
  #giveUp(nowUs: number, effects: WorkerEffect[]): void {
    const { running, onSinceUs } = this.#handed;
    if (running !== undefined && nowUs - onSinceUs > this.#limits.runUsMax) {
      const took = formatUs(nowUs - onSinceUs);
      const met = fault("WORKER_LOST", `a run has not ended in ${took}`);
      return this.#poison(met, nowUs, effects, running);
    }
    this.#handed.giveUpLate(nowUs);
    if (this.#queue.size === 0 || nowUs < this.#queue.wakeAtUs) return;
    for (const batch of this.#queue.batches()) {
      if (batch.parts !== undefined) continue;
      if (nowUs > batch.startByUs) {
        const past = batch.pastStart(nowUs);
        this.#queue.endWaits(batch, past);
        this.#refuse(batch, past, STALE, nowUs, effects);
      } else if (nowUs >= batch.bodiesByUs && batch.missing > 0) {
        this.#refuse(batch, this.#queue.endWaits(batch), BODY_LATE, nowUs, effects);
      }
    }
  }

  /** Hands the engine the batch whose turn it is, and what may follow it. */
  #startRun(nowUs: number, effects: WorkerEffect[]): void {
    const isHanded = (batch: Batch): boolean => this.#handed.holds(batch);
    for (let runs = 0; ;) {
      const batch = this.#queue.next(isHanded);
      if (batch === undefined || !this.#handed.takes(batch)) return;
      const { part, late, startByUs } = batch.takePart(nowUs);
      if (part.length > 0) {
        batch.runs++;
        effects.splice(runs++, 0, this.#handed.add(batch, part, startByUs, nowUs));
      }
      if (late.length > 0) this.#refuse(batch, late, DEADLINE, nowUs, effects);
    }
  }

  #residentsChanged(device: Device): void {
    this.#device = device;
    // Loads beside a run that hangs do not hide that it does.
    if (this.#handed.running === undefined) this.#progress++;
  }

  #runEnded(id: number, result: RunResult, nowUs: number, effects: WorkerEffect[]): void {
    if (this.#phase.name === "ended") return;
    const outcome = outcomeOf(result);
    const ended = this.#handed.end(id, outcome, nowUs);
    this.#progress++;
    // Also of a run that was given up: it may have begun all the same.
    if (!result.ok && result.fatal) return this.#poison(result.fault, nowUs, effects, ended);
    if (ended === undefined) return;
    const { batch, part } = ended;
    if (outcome === "not begun") {
      // Its turn came too late, or something may have to go first.
      batch.takeBack();
    } else if (part === batch.proof) {
      batch.proven = result.ok;
      this.#closeIfDone(batch, nowUs, effects);
    } else if (result.ok) {
      const rows = rowsOf(part);
      batch.ran(rows, result.computeUs);
      const replies = new Replies();
      const startedUs = Math.max(batch.arrivedUs, nowUs - result.computeUs);
      const facts = { startedUs, computeUs: result.computeUs, rows };
      replies.results(batch, part, result.outputs, facts);
      this.#reply(batch.frame.model, replies, effects);
      this.#witnesses.ran(batch.spec, part);
      this.#closeIfDone(batch, nowUs, effects);
    } else if (!retries(batch, part, result.fault, this.#limits.runsMax)) {
      this.#refuse(batch, part, result.fault, nowUs, effects);
    } else {
      this.#closeIfDone(batch, nowUs, effects);
    }
  }

  /** Ends a batch that has nothing left to run: the last verdicts, and word to its scheduler. */
  #closeIfDone(batch: Batch, nowUs: number, effects: WorkerEffect[]): void {
    if (this.#handed.holds(batch) || batch.open > batch.failures.length) return;
    if (asksForProof(batch, this.#witnesses.get(batch.spec))) return;
    const replies = new Replies();
    for (const { held, fault: met } of batch.failures) {
      replies.refuse(batch, [held], blame(batch, met), nowUs);
    }
    this.#reply(batch.frame.model, replies, effects);
    this.#queue.release(batch);
    this.#residents.batchEnded(batch.frame.model, verdictOn(batch), nowUs);
    this.#done(batch.frame, batch.ranRows, batch.ranUs, nowUs, effects);
  }

  /** Answers held items with one fault, and ends the batch if that was all. */
  #refuse(batch: Batch, part: Part, met: Fault, nowUs: number, effects: WorkerEffect[]): void {
    const replies = new Replies();
    replies.refuse(batch, part, met, nowUs);
    this.#reply(batch.frame.model, replies, effects);
    this.#closeIfDone(batch, nowUs, effects);
  }

  /** Answers a whole assignment that is not taken. */
  #turnAway(frame: AssignmentFrame, met: Fault, nowUs: number, effects: WorkerEffect[]): void {
    const replies = new Replies();
    replies.turnAway(frame.items, met);
    this.#reply(frame.model, replies, effects);
    this.#done(frame, 0, 0, nowUs, effects);
  }

  #reply(model: string, replies: Replies, effects: WorkerEffect[]): void {
    effects.push(...replies.effects(model, this.#options.id, this.#device.class));
  }

  /** `computeUs` is that of one run with `rows` rows, so that it can be learned from. */
  #done(
    { scheduler, incarnation, id, model }: AssignmentFrame,
    rows: number,
    computeUs: number,
    nowUs: number,
    effects: WorkerEffect[],
  ): void {
    const outcome: DoneOutcome = rows > 0 ? "ran" : "refused";
    const worker = this.#options.id;
    const backlogUs = this.#backlogUs(nowUs);
    const seen = this.#seen.last(scheduler) ?? id;
    const frame = { worker, incarnation, id, seen, model, outcome, rows, computeUs, backlogUs };
    effects.push({ type: "done", scheduler, frame });
  }

  /**
   * The device is lost: nothing that is held can be run any more. Only what was running when it
   * happened can be the cause, or what had failed just before.
   */
  #poison(
    met: Fault,
    nowUs: number,
    effects: WorkerEffect[],
    ran: Pick<HandedRun, "batch" | "part"> | undefined,
  ): void {
    this.#handed.clear();
    this.#phase = { name: "ended", refusal: fault("BATCH_LOST", met.message) };
    // Before the answers: what they bring back must not be sent here once more.
    this.#heartbeats.want();
    this.#beat(nowUs, effects);
    if (ran !== undefined) {
      const { batch } = ran;
      const failed = batch.failures.splice(0).map(({ held }) => held);
      const suspects = new Set([...failed, ...ran.part]);
      const part = batch.unanswered().filter((held) => suspects.has(held));
      this.#refuse(batch, part, fault("WORKER_LOST", met.message), nowUs, effects);
    }
    this.#end(fault("BATCH_LOST", met.message), nowUs, effects);
    effects.push({ type: "exit", reason: "poisoned", detail: met.message });
  }

  /** Told again, only an earlier end counts. */
  #beginDrain(toldUs: number | undefined, nowUs: number): void {
    const phase = this.#phase;
    if (phase.name === "ended") return;
    if (phase.name === "ready") this.#heartbeats.want();
    const sinceUs = phase.name === "draining" ? phase.sinceUs : nowUs;
    const byUs = phase.name === "draining" ? phase.byUs : nowUs + this.#limits.drainUsMax;
    this.#phase = { name: "draining", sinceUs, byUs: Math.min(byUs, toldUs ?? byUs) };
  }

  #endDrain(nowUs: number, effects: WorkerEffect[]): void {
    if (this.#phase.name !== "draining") return;
    const { sinceUs, byUs } = this.#phase;
    const held = this.#queue.size;
    if (nowUs < (held === 0 ? Math.min(sinceUs + this.#limits.drainUsMin, byUs) : byUs)) return;
    this.#end(DRAINING, nowUs, effects);
    const detail = held === 0 ? "everything held was answered" : `${held} batches were given back`;
    effects.push({ type: "exit", reason: "drained", detail });
  }

  /** Answers everything that is held, and refuses what still comes, in the same words. */
  #end(refusal: Fault, nowUs: number, effects: WorkerEffect[]): void {
    this.#phase = { name: "ended", refusal };
    this.#handed.clear();
    for (const batch of this.#queue.batches()) {
      this.#queue.endWaits(batch);
      batch.failures.length = 0;
      this.#refuse(batch, batch.unanswered(), refusal, nowUs, effects); // I1
    }
  }

  #startOperation(nowUs: number, effects: WorkerEffect[]): void {
    const isHeld = (ref: string): boolean => this.#queue.holdsModel(ref);
    const operation = this.#residents.next(this.#device, isHeld, nowUs);
    if (operation !== undefined) effects.push(operation);
  }

  #beat(nowUs: number, effects: WorkerEffect[]): void {
    if (!this.#heartbeats.isDue(this.#residents.revision, nowUs)) return;
    this.#residents.forgetFailed(nowUs);
    this.#seen.forgetIdle(nowUs);
    const { revision } = this.#residents;
    const condition = {
      id: this.#options.id,
      role: this.#options.role,
      ...this.#options.place,
      incarnation: this.#options.incarnation,
      state: this.#phase.name === "ready" ? "ready" : "draining",
      device: this.#device,
      progress: this.#progress,
      inFlight: this.#queue.size,
      backlogUs: this.#backlogUs(nowUs),
      assignments: this.#seen.summary(this.#queue.batches()),
    } as const;
    const heartbeat = this.#heartbeats.next(condition, revision, this.#residents.list(), nowUs);
    effects.push({ type: "beat", heartbeat });
  }

  #backlogUs(nowUs: number): number {
    const { running, onSinceUs } = this.#handed;
    const expectedUs = this.#queue.expectedUs();
    if (running === undefined) return expectedUs;
    const spentUs = Math.min(running.batch.frame.expectedUs, nowUs - onSinceUs);
    return expectedUs - spentUs;
  }
}
