/** The clients: requests that arrive whether or not earlier ones were answered (an open loop). */

import type { Tier } from "@millrace/protocol";
import { present, type Random } from "@millrace/std";
import type { ClientRequest, IngressNode } from "./ingress-node.ts";
import { type ModelPlan, ROWS_MAX, type Scenario, within } from "./scenario.ts";
import type { World } from "./world.ts";

const LIVENESS_TIMEOUT_US = 10_000_000;
const LIVENESS_RATE = 40;
/** Part of one device's time that an unhurried load may take. */
const UNHURRIED = 0.25;
const SURGE_MAX = 150;
const ITEM_TIMEOUT_US = 2_000_000;
const HERD_WAVES = 20;
const HERD_GAP_US = 10_000;

export class Workload {
  readonly #world: World;
  readonly #ingresses: readonly IngressNode[];
  readonly #random: Random;
  asked = 0;
  #nextId = 0;

  constructor(world: World, ingresses: readonly IngressNode[], random: Random) {
    this.#world = world;
    this.#ingresses = ingresses;
    this.#random = random;
  }

  /** Requests as the scenario has them, while there are faults. */
  runSafety(untilUs: number): void {
    const { scenario } = this.#world;
    const rate = scenario.gentle ? Math.min(scenario.rate, unhurriedRate(scenario)) : scenario.rate;
    this.#arrive(rate, untilUs, () => this.#ask(this.#drawFaulty(this.#drawModel())));
  }

  /** Few requests, each of which is owed a result. */
  runLiveness(untilUs: number): void {
    const rate = Math.min(LIVENESS_RATE, unhurriedRate(this.#world.scenario));
    for (const model of this.#world.scenario.models) this.#ask(this.#drawOwed(model));
    this.#arrive(rate, untilUs, () => this.#ask(this.#drawOwed(this.#drawModel())));
  }

  /** Many requests for one model at once. */
  surge(): void {
    const model = this.#drawModel();
    for (let left = this.#random.below(SURGE_MAX); left > 0; left--) {
      this.#ask(this.#drawFaulty(model));
    }
  }

  /** What jobs are for. */
  get jobModel(): ModelPlan {
    return present(this.#world.scenario.models[0], "a model");
  }

  /** An item of a job. */
  drawItem(): ClientRequest {
    const request = this.#drawOwed(this.jobModel);
    this.asked++;
    return { ...request, tier: 2, timeoutUs: ITEM_TIMEOUT_US, owed: false };
  }

  /** Everybody asks at once, again and again. */
  herd(): void {
    const { timeline } = this.#world;
    for (let wave = 0; wave < HERD_WAVES; wave++) {
      timeline.after(wave * HERD_GAP_US, () => {
        for (const model of this.#world.scenario.models) this.#ask(this.#drawFaulty(model));
      });
    }
  }

  #arrive(perSecond: number, untilUs: number, arrive: () => void): void {
    const { timeline } = this.#world;
    const atUs = timeline.nowUs + Math.ceil(this.#random.exponential(1_000_000 / perSecond));
    if (atUs >= untilUs) return;
    timeline.at(atUs, () => {
      arrive();
      this.#arrive(perSecond, untilUs, arrive);
    });
  }

  #ask(request: ClientRequest): void {
    const up = this.#ingresses.filter((ingress) => ingress.takesRequests);
    const ingress = up[this.#random.below(up.length)];
    if (ingress === undefined) return;
    this.asked++;
    ingress.ask(request);
  }

  #drawFaulty(model: ModelPlan): ClientRequest {
    const { scenario } = this.#world;
    const { deadlineUsMin, deadlineUsMax, owedUsMin, poison, killers, abandons } = scenario;
    const timeoutUs = within(this.#random, deadlineUsMin, deadlineUsMax);
    const patienceUs = this.#random.chance(abandons) ? this.#random.below(timeoutUs) : undefined;
    const drawn = this.#draw(model);
    const isPoison = this.#random.chance(poison);
    const isKiller = this.#random.chance(killers);
    if (isPoison) this.#world.poisoned.add(drawn.id);
    if (isKiller) this.#world.killers.add(drawn.id);
    const owed = timeoutUs >= owedUsMin && !isPoison && !isKiller;
    return { ...drawn, timeoutUs, patienceUs, owed };
  }

  #drawOwed(model: ModelPlan): ClientRequest {
    const timeoutUs = LIVENESS_TIMEOUT_US;
    return { ...this.#draw(model), timeoutUs, patienceUs: undefined, owed: true };
  }

  #draw(
    model: ModelPlan,
  ): Pick<ClientRequest, "id" | "model" | "tier" | "rows" | "length" | "remote"> {
    const random = this.#random;
    return {
      id: this.#nextId++,
      model: model.name,
      tier: this.#drawTier(),
      rows: within(random, 1, Math.min(ROWS_MAX, Math.max(1, model.maxBatch))),
      length: model.lengthMax === 0 ? 0 : within(random, 1, model.lengthMax),
      remote: random.chance(model.remote),
    };
  }

  #drawTier(): Tier {
    const [realtime, standard, batch] = this.#world.scenario.tiers;
    const at = this.#random.next() * (realtime + standard + batch);
    if (at < realtime) return 0;
    return at < realtime + standard ? 1 : 2;
  }

  #drawModel(): ModelPlan {
    const { models } = this.#world.scenario;
    let at = this.#random.next() * models.reduce((sum, { share }) => sum + share, 0);
    for (const model of models) {
      at -= model.share;
      if (at < 0) return model;
    }
    return present(models[0], "a model");
  }
}

/** Requests a second that leave the slowest device mostly idle, without any batching. */
function unhurriedRate({ models, workers }: Scenario): number {
  const shares = models.reduce((sum, { share }) => sum + share, 0);
  const slowness = Math.max(...workers.map((worker) => worker.slowness));
  let us = 0;
  for (const { share, runUs, rowUs } of models) us += (share / shares) * (runUs + 2 * rowUs);
  return (UNHURRIED * 1_000_000) / (us * slowness);
}
