/** Runs the `millrace` command with this process's arguments. */

import { runProgram } from "./program.ts";

// Whoever reads may have read enough, as `head` does: that is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(process.exitCode ?? 0);
  throw error;
});

process.exitCode = await runProgram(process.argv.slice(2));
