/**
 * I10: where nothing is amiss, work is not left lying. It does not wait long beside an idle device
 * that has its model, nor twice as long beside one that is worse than others that have it; and a
 * device is not given less urgent work of the same scheduler again and again meanwhile. For runs
 * without faults: what is lost on the way would be taken for waiting here.
 */

import type { Tier } from "@millrace/protocol";
import type { Checker, Report } from "./checker.ts";

export interface WorkConservedOptions {
  /** Lower is better; equal for devices that a scheduler takes for equal. */
  readonly rankOf: (device: string) => number;
  /**
   * What a device may leave lying: word of its work's end takes a while, and a short batch waits
   * for company where both together run shorter.
   */
  readonly idleUsMax: (model: string) => number;
  /** Word of a model's load. */
  readonly heardUsMax: number;
  /** Work that waits as long goes up a tier. */
  readonly ageAfterUs: number;
}

interface Work {
  readonly scheduler: string;
  readonly model: string;
  readonly tier: Tier;
  readonly sinceUs: number;
  /** How often a device was given something less urgent. */
  passed: number;
}

/** A device that finds the urgent work too short yet does something else meanwhile. */
const PASSED_MAX = 2;

interface DeviceState {
  /** Given to it and not ended. */
  readonly open: Set<string>;
  readonly models: Map<string, number>;
  idleSinceUs: number;
}

/** What is known of the devices: what each has to do, and which models it can run since when. */
class Devices {
  readonly #states = new Map<string, DeviceState>();
  readonly #options: WorkConservedOptions;

  constructor(options: WorkConservedOptions) {
    this.#options = options;
  }

  of(device: string): DeviceState {
    const state = this.#states.get(device) ?? {
      open: new Set(),
      models: new Map(),
      idleSinceUs: 0,
    };
    this.#states.set(device, state);
    return state;
  }

  /** Idle ones that have the model. */
  *idle(model: string): Generator<readonly [device: string, state: DeviceState]> {
    for (const entry of this.#states) {
      const [, { open, models }] = entry;
      if (open.size === 0 && models.has(model)) yield entry;
    }
  }

  isBest(device: string, model: string): boolean {
    const { rankOf } = this.#options;
    for (const [other, { models }] of this.#states) {
      if (models.has(model) && rankOf(other) < rankOf(device)) return false;
    }
    return true;
  }

  /** Since when the work could have been given to the device, were it idle. */
  couldUs({ model, sinceUs }: Work, { models }: DeviceState): number {
    return Math.max(sinceUs, (models.get(model) ?? Infinity) + this.#options.heardUsMax);
  }
}

export function checkWorkConserved(report: Report, options: WorkConservedOptions): Checker {
  const { idleUsMax, ageAfterUs } = options;
  const waiting = new Map<string, Work>();
  const devices = new Devices(options);

  const checkIdle = (name: string, work: Work, device: string, atUs: number): void => {
    for (const [other, state] of devices.idle(work.model)) {
      const idleUs = atUs - Math.max(devices.couldUs(work, state), state.idleSinceUs);
      // For a better one it may wait as long as it would take here.
      const patience = devices.isBest(other, work.model) ? 1 : 2;
      if (idleUs <= patience * idleUsMax(work.model)) continue;
      const waited = `${name} of tier ${work.tier} for ${work.model} waited ${idleUs} us`;
      report(atUs, `${waited} beside idle ${other}, and went to ${device}`);
    }
  };

  const checkUrgent = (given: readonly Work[], device: string, atUs: number): void => {
    const [first] = given;
    if (first === undefined) return;
    const tier = Math.min(...given.map((work) => work.tier));
    if (given.some(({ sinceUs }) => atUs - sinceUs >= ageAfterUs)) return;
    for (const [name, work] of waiting) {
      if (work.tier >= tier || work.scheduler !== first.scheduler) continue;
      const waitedUs = atUs - devices.couldUs(work, devices.of(device));
      if (waitedUs <= idleUsMax(work.model) || !devices.isBest(device, work.model)) continue;
      if (++work.passed <= PASSED_MAX) continue;
      const passed = `${device} was given work of tier ${tier} while ${name}`;
      report(atUs, `${passed} of tier ${work.tier} for ${work.model} had waited ${waitedUs} us`);
    }
  };

  return {
    invariant: "I10",
    handlers: {
      workQueued({ work, scheduler, model, tier }, atUs) {
        waiting.set(work, { scheduler, model, tier, sinceUs: atUs, passed: 0 });
      },
      workGiven({ works, device }, atUs) {
        const given: Work[] = [];
        for (const name of works) {
          const work = waiting.get(name);
          waiting.delete(name);
          if (work === undefined) continue;
          checkIdle(name, work, device, atUs);
          given.push(work);
        }
        checkUrgent(given, device, atUs);
        for (const name of works) devices.of(device).open.add(name);
      },
      workDropped({ work }, atUs) {
        for (const [name, dropped] of waiting) {
          if (name !== work && !name.startsWith(`${work}/`)) continue;
          checkIdle(name, dropped, "nobody", atUs);
          waiting.delete(name);
        }
      },
      workEnded({ work, device }, atUs) {
        const state = devices.of(device);
        if (state.open.delete(work) && state.open.size === 0) state.idleSinceUs = atUs;
      },
      modelHeld({ device, model, held }, atUs) {
        const { models } = devices.of(device);
        if (held) models.set(model, atUs);
        else models.delete(model);
      },
    },
    finish(nowUs) {
      for (const [name, left] of waiting) checkIdle(name, left, "nobody", nowUs);
    },
  };
}
