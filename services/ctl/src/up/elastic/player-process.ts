/** The player's process: options come from the parent, reports go to it; it ends with the day. */

import { Player, type PlayerOptions } from "./player.ts";

/** What the parent says: what to play and until when; then, maybe, to stop. */
export interface PlayOrder {
  readonly options: PlayerOptions;
  readonly untilUs: number;
}

const REPORT_MS = 1_000;

let player: Player | undefined;

process.on("message", (order: PlayOrder | "stop") => {
  if (order === "stop") player?.stop();
  else void play(order);
});
// Ctrl-C reaches the whole group: the parent says when to stop.
process.on("SIGINT", () => undefined);
// Without its parent nobody would look.
process.on("disconnect", () => process.exit(0));

async function play({ options, untilUs }: PlayOrder): Promise<void> {
  const playing = new Player(options);
  player = playing;
  const reports = setInterval(() => process.send?.(playing.report()), REPORT_MS);
  await playing.play(untilUs);
  clearInterval(reports);
  process.send?.(playing.report(), () => process.exit(0));
}
