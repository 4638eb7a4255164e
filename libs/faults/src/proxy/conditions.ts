/** What a link does to what passes it, as data, and all of it together for one direction. */

import * as v from "valibot";

const direction = v.picklist(["to", "from", "both"]);
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const probability = v.pipe(v.number(), v.minValue(0), v.maxValue(1));

/** `to` is towards the member, `from` towards the broker. */
export type Direction = "to" | "from";

export const effectSchema = v.variant("type", [
  v.object({ type: v.literal("delay"), direction, delayUs: whole, jitterUs: whole }),
  v.object({ type: v.literal("rate"), direction, bytesPerSecond: v.pipe(whole, v.minValue(1)) }),
  v.object({ type: v.literal("hold"), direction }),
  v.object({ type: v.literal("stall"), direction, probability, stallUs: whole }),
  v.object({ type: v.literal("cut"), direction, probability }),
  v.object({ type: v.literal("lose"), direction, probability, subject: v.string() }),
  v.object({ type: v.literal("repeat"), direction, probability, subject: v.string() }),
  v.object({ type: v.literal("swap"), direction, probability, subject: v.string(), waitUs: whole }),
  /** Connections that are open: reset now, and every so often where that is not 0. */
  v.object({ type: v.literal("reset"), everyUs: whole }),
  /** Connections that are open: silent from now on, reset at the end. */
  v.object({ type: v.literal("sever") }),
]);
export type Effect = v.InferOutput<typeof effectSchema>;
type DirectedEffect = Extract<Effect, { readonly direction: string }>;
export type EffectOf<T extends Effect["type"]> = Extract<Effect, { readonly type: T }>;

export interface Conditions {
  readonly held: boolean;
  readonly delays: readonly EffectOf<"delay">[];
  readonly stalls: readonly EffectOf<"stall">[];
  readonly cuts: readonly EffectOf<"cut">[];
  /** The narrowest. */
  readonly bytesPerSecond: number | undefined;
  /** Those of messages, in the order in which they began. */
  readonly messages: readonly EffectOf<"lose" | "repeat" | "swap">[];
}

export const CALM: Conditions = {
  held: false,
  delays: [],
  stalls: [],
  cuts: [],
  bytesPerSecond: undefined,
  messages: [],
};

export function conditionsOf(effects: Iterable<Effect>, towards: Direction): Conditions {
  const here = [...effects].filter(
    (effect): effect is DirectedEffect =>
      "direction" in effect && (effect.direction === "both" || effect.direction === towards),
  );
  const rates = here.flatMap((effect) => (effect.type === "rate" ? [effect.bytesPerSecond] : []));
  return {
    held: here.some(({ type }) => type === "hold"),
    delays: here.filter((effect) => effect.type === "delay"),
    stalls: here.filter((effect) => effect.type === "stall"),
    cuts: here.filter((effect) => effect.type === "cut"),
    bytesPerSecond: rates.length === 0 ? undefined : Math.min(...rates),
    messages: here.filter(
      (effect) => effect.type === "lose" || effect.type === "repeat" || effect.type === "swap",
    ),
  };
}
