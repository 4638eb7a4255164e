/**
 * The price book: which worker kinds there are, what they hold and how fast they start, and what
 * each costs in each zone, on demand and as spot. Prices are whole micro-dollars per hour.
 */

import { fail, ok, type Result } from "@millrace/std";
import { Fields } from "./fields.ts";
import { type Located, type Problem, readLocated } from "./located-json.ts";

export type Lifecycle = "on-demand" | "spot";

export interface WorkerKind {
  readonly kind: string;
  readonly device: "gpu" | "cpu";
  readonly memoryBytes: number;
  /** From the order to the first answer, models loaded. */
  readonly startUpSeconds: number;
  /** Speed of a model's variant against its fp32 on the same kind; 1 where it is not named. */
  readonly throughput: ReadonlyMap<string, number>;
}

export interface Offer {
  readonly kind: string;
  readonly zone: string;
  readonly lifecycle: Lifecycle;
  readonly microsPerHour: number;
  /** Expected for one spot worker; 0 on demand. */
  readonly interruptionsPerHour: number;
}

export interface PriceBook {
  readonly name: string;
  /** Where the prices were read. */
  readonly source: string;
  readonly zones: readonly string[];
  /** Of bytes that leave one zone for another, per 10^9 bytes. */
  readonly crossingMicrosPerGb: number;
  readonly kinds: readonly WorkerKind[];
  readonly offers: readonly Offer[];
}

export const MICROS = 1_000_000;
const PRICE_MAX = 10_000;
const MEMORY_MAX = 2 ** 45;
const START_UP_MAX = 86_400;

/** @returns the book, or everything that is wrong with it, by path and line. */
export function parsePriceBook(text: string): Result<PriceBook, readonly Problem[]> {
  const document = readLocated(text);
  if (!document.ok) return fail([document.error]);
  const problems: Problem[] = [];
  const known = ["name", "source", "zones", "crossingPerGb", "kinds", "offers"];
  const fields = new Fields(document.value, "", known, problems);
  const zones = readZones(fields);
  const kinds = readKinds(fields, problems);
  const book: PriceBook = {
    name: fields.text("name"),
    source: fields.text("source", "not stated"),
    zones,
    crossingMicrosPerGb: Math.round(fields.number("crossingPerGb", 0, PRICE_MAX, 0) * MICROS),
    kinds,
    offers: readOffers(fields, zones, kinds, problems),
  };
  return problems.length === 0 ? ok(book) : fail(problems);
}

function readZones(fields: Fields): string[] {
  const zones: string[] = [];
  for (const { node, path } of fields.list("zones")) {
    const zone = node.value;
    if (typeof zone !== "string" || zone === "") {
      fields.refuse("zones", `${path}: the name of a zone expected`);
    } else if (zones.includes(zone)) fields.refuse("zones", `${path}: "${zone}" is given twice`);
    else zones.push(zone);
  }
  return zones;
}

function readKinds(fields: Fields, problems: Problem[]): WorkerKind[] {
  const kinds: WorkerKind[] = [];
  const known = ["kind", "device", "memoryBytes", "startUpSeconds", "throughput"];
  for (const { node, path } of fields.list("kinds")) {
    const each = new Fields(node, path, known, problems);
    const kind: WorkerKind = {
      kind: each.text("kind"),
      device: each.oneOf("device", ["gpu", "cpu"]),
      memoryBytes: each.number("memoryBytes", 1, MEMORY_MAX),
      startUpSeconds: each.number("startUpSeconds", 0, START_UP_MAX),
      throughput: each.numbers("throughput", 0.001, 1_000),
    };
    if (kinds.some((other) => other.kind === kind.kind)) {
      each.refuse("kind", `"${kind.kind}" is given twice`);
    }
    kinds.push(kind);
  }
  return kinds;
}

function readOffers(
  fields: Fields,
  zones: readonly string[],
  kinds: readonly WorkerKind[],
  problems: Problem[],
): Offer[] {
  const offers: Offer[] = [];
  for (const { node, path } of fields.list("offers")) {
    const offer = readOffer(node, path, zones, kinds, problems);
    const { refuse, value } = offer;
    if (offers.some((other) => offerKey(other) === offerKey(value))) {
      refuse(`${offerKey(value)} is priced twice`);
    }
    offers.push(value);
  }
  for (const { kind } of kinds) {
    if (offers.some((offer) => offer.kind === kind && offer.lifecycle === "on-demand")) continue;
    fields.refuse("offers", `no on-demand price for "${kind}"; spot needs one to fall back to`);
  }
  return offers;
}

export const offerKey = ({
  kind,
  zone,
  lifecycle,
}: Pick<Offer, "kind" | "zone" | "lifecycle">): string => `${kind} ${lifecycle} in ${zone}`;

function readOffer(
  node: Located,
  path: string,
  zones: readonly string[],
  kinds: readonly WorkerKind[],
  problems: Problem[],
): { readonly value: Offer; readonly refuse: (message: string) => void } {
  const known = ["kind", "zone", "lifecycle", "pricePerHour", "interruptionsPerHour"];
  const each = new Fields(node, path, known, problems);
  const value: Offer = {
    kind: each.text("kind"),
    zone: each.text("zone"),
    lifecycle: each.oneOf("lifecycle", ["on-demand", "spot"]),
    // A price of zero would make every plan free and every ratio meaningless.
    microsPerHour: Math.round(each.number("pricePerHour", 1e-6, PRICE_MAX) * MICROS),
    interruptionsPerHour: each.number("interruptionsPerHour", 0, 1_000, 0),
  };
  if (value.zone !== "" && !zones.includes(value.zone)) {
    each.refuse("zone", `"${value.zone}" is none of the zones ${zones.join(", ")}`);
  }
  if (value.kind !== "" && !kinds.some(({ kind }) => kind === value.kind)) {
    each.refuse("kind", `"${value.kind}" is none of the kinds`);
  }
  if (value.lifecycle === "on-demand" && value.interruptionsPerHour !== 0) {
    each.refuse("interruptionsPerHour", "an on-demand worker is not interrupted: 0 expected");
  }
  return { value, refuse: (message) => each.refuse("", message) };
}

/** The cheapest offer of a kind and lifecycle, ties by zone's name; undefined where none is. */
export function cheapestOffer(
  book: PriceBook,
  kind: string,
  lifecycle: Lifecycle,
): Offer | undefined {
  let best: Offer | undefined;
  for (const offer of book.offers) {
    if (offer.kind !== kind || offer.lifecycle !== lifecycle) continue;
    const cheaper = best === undefined || offer.microsPerHour < best.microsPerHour;
    if (cheaper || (offer.microsPerHour === best?.microsPerHour && offer.zone < best.zone)) {
      best = offer;
    }
  }
  return best;
}
