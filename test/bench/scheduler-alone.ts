/**
 * The scenario of the scheduling core alone: its throughput, and how its cost grows with a fleet.
 */

import type { Scenario } from "./bench.ts";
import { median, pairedRow, ratioAtMost, type Row, valueAtLeast } from "./rows.ts";
import { measureScheduling } from "./scheduling.ts";

const MODELS = 1_000;
const ROUNDS = 3;

const measure = (workers: number, frameTickets: number) => {
  const figures = measureScheduling({
    workers,
    models: MODELS,
    modelsPerWorker: 10,
    frameTickets,
    ticketsPerSecond: 300_000,
    warmUs: 300_000,
    tickets: 150_000,
  });
  if (figures.refused > 0)
    throw new Error(`the scheduling core refused ${figures.refused} tickets`);
  return figures;
};

/** Requests of one model that an ingress sends in one frame. */
const FRAME_TICKETS = 8;

export const scheduling: Scenario = {
  name: "scheduling",
  run(bench) {
    bench.say("scheduling: the core alone on virtual time");
    // Compiled before anything is timed.
    measure(100, FRAME_TICKETS);
    const throughput = (frameTickets: number): number =>
      median(Array.from({ length: ROUNDS }, () => measure(1_000, frameTickets).ticketsPerSecond));
    const pairs = Array.from({ length: ROUNDS }, () => ({
      floor: measure(100, FRAME_TICKETS).usPerTicket,
      value: measure(10_000, FRAME_TICKETS).usPerTicket,
    }));
    const rows: Row[] = [
      {
        name: `scheduling core, 1,000 workers, frames of ${FRAME_TICKETS}`,
        unit: "tickets/s",
        value: throughput(FRAME_TICKETS),
        floor: undefined,
        ratio: undefined,
        goal: valueAtLeast(300_000),
      },
      {
        name: "scheduling core, 1,000 workers, frames of 1",
        unit: "tickets/s",
        value: throughput(1),
        floor: undefined,
        ratio: undefined,
      },
      pairedRow(
        { name: "a ticket at 10,000 workers, 100 the floor", unit: "us", goal: ratioAtMost(2) },
        pairs,
      ),
    ];
    return Promise.resolve(rows);
  },
};
