/**
 * The load generator: keep-alive connections over raw sockets, each with one request outstanding
 * whose bytes are computed once. A process of its own, so that it shares nothing with what it
 * measures but the cores. It takes jobs from its parent and answers each with its figures.
 */

import { connect, type Socket } from "node:net";
import type { LoadFigures, LoadJob } from "./load.ts";
import { readResponses } from "./responses.ts";

const SAMPLES_MAX = 4_000_000;
const samples = new Float64Array(SAMPLES_MAX);
/**
 * Every read of every connection lands here and is looked at before the next one: what the
 * generator uses of the cores is missing to what it measures, and streams cost it a sixth more.
 */
const received = Buffer.allocUnsafeSlow(64 * 1024);

interface Run {
  count: number;
  failures: number;
  firstFailure: string | undefined;
  fromMs: number;
  untilMs: number;
}

/** One connection; resolves when its last response after the end of the run has come. */
function drive(job: LoadJob, request: Buffer, run: Run): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect({
    host: job.host,
    port: job.port,
    noDelay: true,
    onread: {
      buffer: received,
      callback(length) {
        responses.push(received.subarray(0, length));
        return true;
      },
    },
  });
  let sentMs = 0;
  const send = (nowMs: number): void => {
    sentMs = nowMs;
    socket.write(request);
  };
  const responses = readResponses((status) => {
    const nowMs = performance.now();
    if (nowMs >= run.untilMs) return resolve(socket);
    // What was sent while warming up and answered after it counts: else slow answers would not.
    if (nowMs >= run.fromMs) {
      if (status !== 200) {
        run.failures++;
        run.firstFailure ??= `status ${status}`;
      } else if (run.count < SAMPLES_MAX) samples[run.count++] = nowMs - sentMs;
    }
    send(nowMs);
  });
  socket.on("connect", () => send(performance.now()));
  socket.on("error", reject);
  socket.on("close", () => reject(new Error("the server closed the connection")));
  return promise;
}

async function measure(job: LoadJob): Promise<LoadFigures> {
  const request = Buffer.from(job.request);
  const startMs = performance.now();
  const fromMs = startMs + job.warmMs;
  const run: Run = {
    count: 0,
    failures: 0,
    firstFailure: undefined,
    fromMs,
    untilMs: fromMs + job.runMs,
  };
  const sockets = await Promise.all(
    Array.from({ length: job.connections }, () => drive(job, request, run)),
  );
  for (const socket of sockets) socket.removeAllListeners("close").destroy();
  const sorted = samples.subarray(0, run.count).sort();
  const quantileUs = (q: number): number =>
    Math.round(1000 * (sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0));
  return {
    requests: run.count,
    failures: run.failures,
    firstFailure: run.firstFailure,
    perSecond: run.count / (job.runMs / 1000),
    p50Us: quantileUs(0.5),
    p99Us: quantileUs(0.99),
  };
}

process.on("message", (job: LoadJob) => {
  measure(job).then(
    (figures) => process.send?.({ figures }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on("disconnect", () => process.exit(0));
process.send?.({ ready: true });
