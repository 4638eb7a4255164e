/**
 * Runs the elastic core for whoever holds the lease: fits when it asks, writes its plan, and keeps
 * the fleet at what it wants. Without the lease it only listens, so that it can take over at once.
 */

import type { Bus } from "@millrace/bus";
import {
  type ElasticCore,
  type ElasticEffect,
  type ElasticEvent,
  type Foretold,
  LoadHistory,
  type LoadPart,
} from "@millrace/elasticity";
import type { FleetDriver } from "@millrace/fleet";
import type { KnownEvent } from "@millrace/forecasting";
import { type Documents, type Lease, openLedger } from "@millrace/history";
import { describeReason, type Plan } from "@millrace/planning";
import type { Series } from "@millrace/load-facts";
import type { LedgerEntry, LoadFact } from "@millrace/protocol";
import { nowUs, type WallClock } from "@millrace/runtime";
import { type Log, present } from "@millrace/std";
import { Booking } from "./booking.ts";
import type { BudgetWatch } from "./budget-watch.ts";
import { FactsReader } from "./facts-reader.ts";
import { Fitting, type FitOptions } from "./fitting.ts";
import { type Hearing, openHearing } from "./hearing.ts";
import { JobBacklog } from "./job-backlog.ts";
import { KeptFleet } from "./kept-fleet.ts";
import type { Figures } from "./figures.ts";
import type { ProphetDays } from "./prophet-days.ts";

export interface ElasticServiceOptions {
  readonly bus: Bus;
  readonly core: ElasticCore;
  readonly clock: WallClock;
  readonly lease: Lease;
  readonly documents: Documents;
  readonly driver: FleetDriver | undefined;
  readonly events: readonly KnownEvent[];
  /** Whether the batch work of any model may wait. */
  readonly defers: boolean;
  /** Absent where Prophet is off. */
  readonly prophet: ProphetDays | undefined;
  /** Absent where no month's budget is set. */
  readonly budget: BudgetWatch | undefined;
  readonly figures: Figures;
  readonly log: Log;
}

/** Facts are read this often, in real time; load facts come once a minute of their clock. */
const READ_MS = 1_000;
const TICK_MS = 100;
/** Of the plan that is written down: the rest is in the core. */
const STEPS_WRITTEN = 288;

export class ElasticService implements AsyncDisposable {
  readonly #options: ElasticServiceOptions;
  readonly #history = new LoadHistory();
  readonly #facts: FactsReader;
  readonly #fitting = new Fitting();
  readonly #booking: Booking;
  readonly #hearing: Hearing;
  readonly #backlog: JobBacklog | undefined;
  readonly #fleet: KeptFleet;
  readonly #stopping = new AbortController();
  #refitting: Promise<void> = Promise.resolve();
  #readAtMs = Number.NEGATIVE_INFINITY;
  /** Models that the next fitting is for, while it waits for the one before. */
  #unfitted: "all" | ReadonlySet<string> | undefined;
  #lookedAtUs = 0;
  /** Of the lease at the last turn. */
  #epoch: number | undefined;

  constructor(options: ElasticServiceOptions) {
    this.#options = options;
    const { budget, bus, clock, driver, figures, lease, log } = options;
    const { connection } = bus;
    const add = (fact: LoadFact): void => {
      this.#history.add(fact);
      budget?.counted(fact);
    };
    this.#facts = new FactsReader({ connection, log, add, epoch: () => lease.epoch });
    const written = (entry: LedgerEntry): void => budget?.booked(entry);
    this.#booking = new Booking({ ledger: openLedger(connection), log, written });
    const post = (event: ElasticEvent): void => this.#step(event);
    this.#hearing = openHearing({ bus, clock, nowUs, log, post });
    if (options.defers) this.#backlog = new JobBacklog({ connection, clock, log, post });
    this.#fleet = new KeptFleet({ driver, figures, log, nowUs, post });
  }

  /** Resolves when it is told to end. */
  async run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#turn();
      await new Promise((done) => setTimeout(done, TICK_MS));
    }
    await this.#book();
    await this.#booking.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    // A fit that is under way ends with its thread.
    await this.#fitting[Symbol.asyncDispose]();
    await this.#refitting;
  }

  async #turn(): Promise<void> {
    const { budget, clock, core, lease } = this.#options;
    if (performance.now() - this.#readAtMs >= READ_MS) {
      this.#readAtMs = performance.now();
      const virtualUs = clock.nowUs();
      this.#history.alive(virtualUs);
      await this.#facts.read();
      this.#history.forget();
      const { epoch } = lease;
      if (epoch !== undefined) await this.#facts.rollUp(virtualUs, epoch);
    }
    const { epoch } = lease;
    if (epoch === undefined || epoch !== this.#epoch) {
      this.#epoch = epoch;
      // Whoever held the lease has booked it.
      this.#hearing.takeCrossed();
      await this.#booking.end();
    }
    if (epoch === undefined) return;
    this.#fleet.lead(epoch);
    void this.#backlog?.look();
    const atUs = clock.nowUs();
    // A clock that was set back delays no look.
    if (atUs >= core.wakeAtUs || atUs < this.#lookedAtUs) {
      this.#lookedAtUs = atUs;
      this.#step({ type: "woke" });
      await this.#fleet.keep(this.#hearing.workers());
      await this.#book();
      // Its first look reads a month of the ledger, which nobody waits for.
      void budget?.look(lease.epoch ?? 0, clock.nowUs());
    }
  }

  async #book(): Promise<void> {
    const { clock, lease } = this.#options;
    const { epoch } = lease;
    // It may have gone while a driver or the storage was waited for.
    if (epoch === undefined || epoch !== this.#epoch) return;
    for (const { bytes, pool } of this.#hearing.takeCrossed()) this.#booking.crossed(pool, bytes);
    await this.#booking.book(this.#hearing.present(), clock.nowUs(), epoch);
  }

  #step(event: ElasticEvent): void {
    const { clock, core } = this.#options;
    for (const effect of core.step(event, clock.nowUs())) this.#perform(effect);
  }

  #perform(effect: ElasticEffect): void {
    const { figures, log } = this.#options;
    switch (effect.type) {
      case "want":
        this.#fleet.want(effect.pool, effect.count);
        return;
      case "refit":
        this.#startRefit(effect.models);
        return;
      case "planned":
        this.#put("plan", written(effect.plan));
        for (const { message } of effect.plan.infeasible) log.warn({ reason: message }, "plan");
        return;
      case "overruled":
        if (effect.reasons.length === 0)
          log.info({ model: effect.model }, "forecast believed again");
        else log.warn({ model: effect.model, reasons: effect.reasons }, "forecast overruled");
        return;
      case "decided":
        figures.decided(effect);
    }
  }

  /** One at a time; what is asked for meanwhile is done once more. */
  #startRefit(models?: readonly string[]): void {
    const before = this.#unfitted;
    if (models === undefined) this.#unfitted = "all";
    else if (before !== "all") this.#unfitted = new Set([...(before ?? []), ...models]);
    if (before === undefined) this.#refitting = this.#fitNext(this.#refitting);
  }

  async #fitNext(before: Promise<void>): Promise<void> {
    await before;
    const models = this.#unfitted ?? [];
    this.#unfitted = undefined;
    for (const model of models === "all" ? this.#history.models : models) await this.#fit(model);
  }

  async #fit(model: string): Promise<void> {
    const { clock, core, figures, log } = this.#options;
    const history = this.#history.of(model, clock.nowUs());
    if (history === undefined || this.#stopping.signal.aborted) return;
    try {
      const { forecast, fitUs } = await this.#fitting.fit(
        history.series,
        await this.#fitOptions(model, history.series),
      );
      const { series: _, ...rates } = history;
      const whole = { forecast, ...rates };
      const parts = core.defers(model) ? await this.#fitParts(model) : whole;
      this.#step({ type: "forecastMade", model, ...parts });
      figures.fitted(model, fitUs);
      this.#put(model, forecast);
      log.info({ model, method: forecast.method, fitUs }, "forecast");
    } catch (err) {
      if (!this.#stopping.signal.aborted) log.error({ err, model }, "forecast");
    }
  }

  /** What must be served at once, and what may wait, each by itself. */
  async #fitParts(model: string): Promise<Foretold & { readonly batch: Foretold }> {
    const { clock, events } = this.#options;
    const fit = async (part: LoadPart): Promise<Foretold> => {
      const counted = present(this.#history.of(model, clock.nowUs(), part), `load of ${model}`);
      const { series, ...rates } = counted;
      return { forecast: (await this.#fitting.fit(series, { events })).forecast, ...rates };
    };
    const urgent = await fit("urgent");
    return { ...urgent, batch: await fit("batch") };
  }

  /** Prophet has its own thread, which is replaced in time: its Stan module leaks. */
  async #fitOptions(model: string, history: Series): Promise<FitOptions> {
    const { events, log, prophet } = this.#options;
    if (prophet === undefined) return { events };
    const days = await prophet.of(model, history, this.#stopping.signal);
    if (!days.ok) {
      log.warn({ model, ...days.error }, "Prophet");
      return { events };
    }
    const [ahead] = days.value;
    if (ahead === undefined) return { events };
    return prophet.part === "member"
      ? { events, supplied: { prophet: days.value } }
      : { events, compared: { prophet: ahead } };
  }

  #put(name: string, content: unknown): void {
    const { clock, documents, lease, log } = this.#options;
    const { epoch } = lease;
    if (epoch === undefined) return;
    void documents.put(name, { epoch, atUs: clock.nowUs(), content }).then((put) => {
      if (!put.ok) log.warn(put.error, "documents");
    });
  }
}

/** What people and the command look at: a day, with the reasons in words. */
const written = ({ startUs, stepUs, steps, micros, infeasible }: Plan): object => ({
  startUs,
  stepUs,
  micros,
  infeasible,
  steps: steps.slice(0, STEPS_WRITTEN).map(({ atUs, workers, microsPerHour, reasons }) => ({
    atUs,
    workers,
    microsPerHour,
    reasons: reasons.map(describeReason),
  })),
});
