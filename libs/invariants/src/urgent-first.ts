/**
 * I4: a realtime request never waits behind more than one running batch slice per device. What is
 * at the device and ready goes by tier between any two runs; no run that could have been shorter is
 * far longer than a slice; and what has waited past its latest start does not run at all, because
 * nobody waits for it any more.
 */

import type { Checker, Report } from "./checker.ts";

interface Waiting {
  readonly tier: number;
  readonly sinceUs: number;
  /** A batch that was split has begun and may go on past its latest start. */
  begun: boolean;
  /** The last of it runs, or ran: the worker may be standing still and not know yet. */
  on: boolean;
}

/** Slices are cut by estimates, which are learned from other runs, some of shorter inputs. */
const ESTIMATE_FACTOR = 2;

export function checkUrgentFirst(report: Report): Checker {
  const devices = new Map<string, Map<string, Waiting>>();
  return {
    invariant: "I4",
    handlers: {
      batchTaken({ device, batch, tier }, atUs) {
        const held = devices.get(device) ?? new Map<string, Waiting>();
        const begun = held.get(batch)?.begun === true;
        held.set(batch, { tier, sinceUs: atUs, begun, on: false });
        devices.set(device, held);
      },
      batchLeft({ device, batch }) {
        devices.get(device)?.delete(batch);
      },
      runStarted({ device, batch, tier, partial, requests, usualUs, sliceUs, startByUs }, atUs) {
        if (requests > 1 && usualUs > ESTIMATE_FACTOR * sliceUs) {
          const run = `a run of ${requests} requests of tier ${tier}`;
          report(atUs, `${device} began ${run} that takes ${usualUs} us, a slice is ${sliceUs} us`);
        }
        const held = devices.get(device);
        const own = held?.get(batch);
        if (held === undefined || own === undefined) return;
        for (const [other, { tier: otherTier, on, sinceUs }] of held) {
          // What comes in the same instant crosses with the start, on its way to the engine.
          if (otherTier >= tier || on || sinceUs === atUs) continue;
          const wait = `while batch ${other} of tier ${otherTier} waited`;
          report(atUs, `${device} began batch ${batch} of tier ${tier} ${wait}`);
        }
        if (!own.begun && atUs > startByUs) {
          const lateUs = atUs - startByUs;
          report(atUs, `${device} began batch ${batch} ${lateUs} us after its latest start`);
        }
        own.begun = true;
        own.on = !partial;
      },
      processEnded({ process }) {
        devices.delete(process);
      },
    },
  };
}
