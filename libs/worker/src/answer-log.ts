/** One line per request that ended here: failures always, results where `debug` is logged. */

import { traceOf } from "@millrace/protocol";
import type { Log } from "@millrace/std";
import type { WorkerEffect } from "@millrace/executing";
import type { Logger } from "@millrace/runtime";

/** A log that says whether a level is written, so that no line is made in vain. */
export type LevelledLog = Log & Pick<Logger, "isLevelEnabled">;

const decoder = new TextDecoder();

export function logAnswers(
  log: LevelledLog,
  { ingress, model, items, frame }: Extract<WorkerEffect, { type: "answer" }>,
): void {
  const verbose = log.isLevelEnabled("debug");
  frame.answers.forEach(({ seq, attempt, error, queueUs, computeUs, batchRows, body }, at) => {
    if (error === undefined && !verbose) return;
    const tail = items[at]?.tail ?? body;
    const request = `${ingress}-${seq}`;
    const trace = Buffer.from(traceOf(tail)).toString("hex");
    if (error === undefined) {
      log.debug({ request, trace, model, attempt, queueUs, computeUs, batchRows }, "answered");
    } else {
      const message = decoder.decode(body);
      log.warn({ request, trace, model, attempt, queueUs, code: error, message }, "failed");
    }
  });
}
