/**
 * The worker thread around Prophet. Its Stan module keeps 0.3 MB of every fit for good, so the
 * thread is thrown away with its memory once it has made its share of fits.
 */

import { parentPort } from "node:worker_threads";
import { present } from "@millrace/std";
import { fitProphet, type FitOrder } from "./fit.ts";

export type ThreadAnswer =
  | { readonly ok: true; readonly values: number[] }
  | { readonly ok: false; readonly message: string };

const port = present(parentPort, "the port of a worker thread");

port.on("message", (order: FitOrder) => {
  let answer: ThreadAnswer;
  try {
    answer = { ok: true, values: fitProphet(order) };
  } catch (error) {
    answer = { ok: false, message: error instanceof Error ? error.message : String(error) };
  }
  port.postMessage(answer);
});
