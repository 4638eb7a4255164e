/**
 * The price book that is used where none is given: list prices of AWS us-east-2 in US dollars, as
 * in skypilot-org/skypilot-catalog, v8 aws/vms.csv at commit 00148f2a (2025-26). The catalogue
 * states spot prices as a range over the region's zones; its ends and middle stand for the three
 * zones, whose names are conventional. Transfer between zones is 0.01 a GB in each direction (AWS
 * EC2 on-demand pricing, data transfer), which is 0.02 for the crossing. Interruption rates are not
 * published; 0.03 an hour is an assumption.
 */

import { MICROS, type Lifecycle, type Offer, type PriceBook } from "./price-book.ts";

const GIB = 2 ** 30;
const ZONES = ["us-east-2a", "us-east-2b", "us-east-2c"];
const SPOT_INTERRUPTIONS_PER_HOUR = 0.03;

/** One price for every zone, or one each. */
const offers = (kind: string, lifecycle: Lifecycle, prices: readonly number[]): Offer[] =>
  ZONES.map((zone, at) => ({
    kind,
    zone,
    lifecycle,
    microsPerHour: Math.round((prices[at] ?? prices[0] ?? 0) * MICROS),
    interruptionsPerHour: lifecycle === "spot" ? SPOT_INTERRUPTIONS_PER_HOUR : 0,
  }));

export const DEFAULT_PRICE_BOOK: PriceBook = {
  name: "AWS us-east-2 list prices",
  source: "skypilot-org/skypilot-catalog v8 aws/vms.csv @00148f2a; spot as a range over zones",
  zones: ZONES,
  crossingMicrosPerGb: 20_000,
  kinds: [
    {
      // g6.2xlarge: one NVIDIA L4. The INT8 factor is the goal's; measure your own model.
      kind: "gpu-l4",
      device: "gpu",
      memoryBytes: 24 * GIB,
      startUpSeconds: 120,
      throughput: new Map([["int8", 2]]),
    },
    {
      // c7a.4xlarge: 16 vCPU.
      kind: "cpu-16",
      device: "cpu",
      memoryBytes: 32 * GIB,
      startUpSeconds: 60,
      throughput: new Map([["int8", 2]]),
    },
  ],
  offers: [
    ...offers("gpu-l4", "on-demand", [0.978]),
    ...offers("gpu-l4", "spot", [0.374, 0.389, 0.404]),
    ...offers("cpu-16", "on-demand", [0.821]),
    ...offers("cpu-16", "spot", [0.31, 0.3155, 0.321]),
  ],
};
