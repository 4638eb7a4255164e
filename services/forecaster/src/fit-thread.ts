/** The thread that fits: a fit is tens of milliseconds of arithmetic, and nothing waits for it. */

import { parentPort } from "node:worker_threads";
import { fitForecast } from "@millrace/forecasting";
import { present } from "@millrace/std";
import type { FitAnswer, FitQuestion } from "./fitting.ts";

const port = present(parentPort, "the fitting thread has no port");

port.on("message", ({ id, history, options }: FitQuestion) => {
  const began = performance.now();
  const forecast = fitForecast(history, options);
  const fitUs = Math.round((performance.now() - began) * 1000);
  port.postMessage({ id, forecast, fitUs } satisfies FitAnswer, []);
});
