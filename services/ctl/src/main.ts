/** Runs the `millrace` command with this process's arguments. */

import { runProgram } from "./program.ts";

process.exitCode = await runProgram(process.argv.slice(2));
