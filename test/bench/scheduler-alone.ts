/**
 * The scenario of the scheduling core alone: its throughput, and how its cost grows with a fleet.
 */

import { inTurns, type Scenario } from "./bench.ts";
import { type Child, startChild } from "./child.ts";
import { median, pairedRow, ratioAtMost, type Row, valueAtLeast } from "./rows.ts";
import type { SchedulingFigures, SchedulingOptions } from "./scheduling.ts";

const ROUNDS = 3;
/** Requests of one model that an ingress sends in one frame. */
const FRAME_TICKETS = 8;
const REPLY_MS_MAX = 120_000;

async function measure(
  child: Child,
  workers: number,
  frameTickets: number,
): Promise<SchedulingFigures> {
  const options: SchedulingOptions = {
    workers,
    frameTickets,
    models: 1_000,
    modelsPerWorker: 10,
    ticketsPerSecond: 300_000,
    warmUs: 300_000,
    tickets: 200_000,
  };
  const reply = child.message(REPLY_MS_MAX);
  child.send(options);
  const figures = (await reply) as SchedulingFigures;
  if (figures.refused > 0)
    throw new Error(`the scheduling core refused ${figures.refused} tickets`);
  return figures;
}

async function throughput(child: Child, frameTickets: number, goal?: Row["goal"]): Promise<Row> {
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    rounds.push((await measure(child, 1_000, frameTickets)).ticketsPerSecond);
  }
  return {
    name: `scheduling core, 1,000 workers, frames of ${frameTickets}`,
    unit: "tickets/s",
    value: median(rounds),
    floor: undefined,
    ratio: undefined,
    ...(goal === undefined ? {} : { goal }),
  };
}

export const scheduling: Scenario = {
  name: "scheduling",
  async run(bench) {
    bench.say("scheduling: the core alone on virtual time");
    const script = new URL("scheduling-process.ts", import.meta.url);
    const child = startChild("scheduling core", script, []);
    try {
      await child.message();
      // Compiled before anything is timed.
      await measure(child, 100, FRAME_TICKETS);
      const ticketUs = (workers: number) => async (): Promise<number> =>
        (await measure(child, workers, FRAME_TICKETS)).usPerTicket;
      return [
        await throughput(child, FRAME_TICKETS, valueAtLeast(300_000)),
        await throughput(child, 1),
        pairedRow(
          { name: "a ticket at 10,000 workers, 100 the floor", unit: "us", goal: ratioAtMost(2) },
          await inTurns(ROUNDS, ticketUs(100), ticketUs(10_000)),
        ),
      ];
    } finally {
      await child.stop();
    }
  },
};
