/** Faults of links and of messages on them: leases at the fault proxy. */

import { readFileSync } from "node:fs";
import { decodeJson, FaultError, type FaultSpec } from "@millrace/protocol";
import type { Effect } from "../proxy/conditions.ts";
import { ProxyControl } from "../proxy/control.ts";
import { type ProxySettings, proxySettingsSchema } from "../proxy/settings.ts";
import { type Injection, type InjectionContext, numberOf, textOf } from "./injection.ts";

export type LinkFault =
  | "latency"
  | "loss"
  | "blackhole"
  | "reset"
  | "half-open"
  | "slow-link"
  | "slow-consumer"
  | "duplicate"
  | "reorder";

export function onLink(context: InjectionContext, kind: LinkFault): Injection {
  const { id, spec, targets, ground, seed } = context;
  const { controlPort, token } = settingsOf(ground.proxySettingsFile);
  const control = new ProxyControl({ controlPort, token });
  const members = targets.map((target) => target.id);
  const effect = effectOf(kind, spec);
  const lease = { id, members, effect, durationUs: spec.durationUs, seed };
  const undo = [{ type: "endLease", controlPort, token, id }] as const;
  const counter = COUNTERS[effect.type];
  if (counter === undefined) return { undo, begin: () => control.begin(lease) };
  const count = async (): Promise<number> => {
    const links = await control.report();
    return members.reduce((sum, member) => sum + (links[member]?.[counter] ?? 0), 0);
  };
  let before = 0;
  return {
    undo,
    begin: async () => {
      before = await count();
      await control.begin(lease);
    },
    acted: async () => (await count()) - before,
  };
}

/** What a link counts of effects that meet some messages and not others. */
const COUNTERS: Partial<Record<Effect["type"], "lost" | "repeated" | "stalled" | "swapped">> = {
  lose: "lost",
  repeat: "repeated",
  stall: "stalled",
  swap: "swapped",
};

/** @throws FaultError where no proxy runs. */
export function settingsOf(path: string | undefined): ProxySettings {
  if (path === undefined) throw new FaultError("FAULT_UNAVAILABLE", NO_PROXY);
  const settings = decodeJson(proxySettingsSchema, readFileSync(path, "utf8"));
  if (!settings.ok) throw new FaultError("FAULT_UNAVAILABLE", `${path}: ${settings.error.message}`);
  return settings.value;
}

export const NO_PROXY =
  "no fault proxy stands between the members and NATS: start with `millrace up --chaos`";

function effectOf(kind: LinkFault, spec: FaultSpec): Effect {
  const number = (name: string): number => numberOf(spec, name);
  const direction = (): "to" | "from" | "both" => textOf(spec, "direction") as "both";
  switch (kind) {
    case "latency":
      return {
        type: "delay",
        direction: direction(),
        delayUs: number("delayUs"),
        jitterUs: number("jitterUs"),
      };
    case "loss":
      return lossOf(spec, direction());
    case "blackhole":
      return { type: "hold", direction: direction() };
    case "reset":
      return { type: "reset", everyUs: number("everyUs") };
    case "half-open":
      return { type: "sever" };
    case "slow-link":
      return { type: "rate", direction: direction(), bytesPerSecond: number("bytesPerSecond") };
    case "slow-consumer":
      return number("bytesPerSecond") === 0
        ? { type: "hold", direction: "to" }
        : { type: "rate", direction: "to", bytesPerSecond: number("bytesPerSecond") };
    case "duplicate":
    case "reorder": {
      const [probability, subject] = [number("probability"), textOf(spec, "subject")];
      const common = { direction: direction(), probability, subject };
      return kind === "duplicate"
        ? { type: "repeat", ...common }
        : { type: "swap", ...common, waitUs: number("waitUs") };
    }
  }
}

function lossOf(spec: FaultSpec, direction: "to" | "from" | "both"): Effect {
  const probability = numberOf(spec, "probability");
  switch (textOf(spec, "as")) {
    case "stall":
      return { type: "stall", direction, probability, stallUs: numberOf(spec, "stallUs") };
    case "cut":
      return { type: "cut", direction, probability };
    default:
      return { type: "lose", direction, probability, subject: textOf(spec, "subject") };
  }
}
