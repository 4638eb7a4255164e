/**
 * Submits jobs and follows each to its end. A submission is repeated under the same Idempotency-Key
 * until its status is final, as clients are told to; what was accepted is then looked at until it
 * has ended, and its results are read whole.
 */

import { setTimeout as sleep } from "node:timers/promises";
import * as v from "valibot";
import { decodeJson, jobViewSchema } from "@millrace/protocol";
import type { Random } from "@millrace/std";
import { type Call, type Client, errorCode, type Exchange } from "./client.ts";
import { type Corpus, type Question, valuesOf } from "./corpus.ts";
import type { ItemEntry, JobEntry, LoadJobs } from "./settings.ts";

/** A submission is given up after this; a restarted broker and a new leader take less. */
const SUBMIT_US_MAX = 60_000_000;
const AGAIN_MS = 100;
const AGAIN_MS_MAX = 2_000;
const CALL_MS_MAX = 10_000;
/** Between two looks at one job: at first, and from then on. */
const LOOK_MS = 400;
const LOOK_MS_MAX = 2_000;
/** A record may not be there yet on the ingress that is asked. */
const GONE_LOOKS = 3;

const lineSchema = v.object({
  item: v.number(),
  response: v.optional(v.looseObject({})),
  error: v.optional(v.object({ code: v.string() })),
});

export interface JobWorld {
  readonly client: Client;
  readonly corpus: Corpus;
  readonly urls: readonly string[];
  readonly keys: readonly string[];
  readonly random: Random;
  readonly nowUs: () => number;
  /** What has not ended by then is stuck. */
  readonly untilUs: () => number;
}

interface Job {
  readonly key: string;
  readonly tenant: number;
  readonly model: string;
  readonly questions: readonly Question[];
  readonly submittedUs: number;
  attempts: number;
  /** Which one is asked: the next where one fails it. */
  ingress: number;
}

interface Submission {
  readonly id: string;
  readonly acceptedUs: number;
  readonly ids: readonly string[];
}

/** Resolves with the job's entry when it has ended, or when its time is over. */
export async function followJob(
  world: JobWorld,
  load: LoadJobs,
  number: number,
  prefix: string,
): Promise<JobEntry> {
  const { corpus, keys, random, nowUs } = world;
  const tenant = random.below(keys.length);
  const job: Job = {
    key: `${prefix}-job-${number}`,
    tenant,
    model: load.model,
    questions: Array.from({ length: load.items }, () => corpus.draw(load.model, tenant, random)),
    submittedUs: nowUs(),
    attempts: 0,
    ingress: number,
  };
  const entry: JobEntry = {
    type: "job",
    key: job.key,
    tenant,
    items: load.items,
    submittedUs: job.submittedUs,
    acceptedUs: undefined,
    endedUs: undefined,
    gone: false,
    ids: [],
    attempts: 0,
    status: 0,
    code: "",
    results: [],
  };
  const submitted = await submit(world, job);
  if (submitted.kind !== "accepted") {
    const { status, code } = submitted;
    return { ...entry, attempts: job.attempts, status, code };
  }
  const { id, acceptedUs, ids } = submitted.submission;
  const accepted = { ...entry, attempts: job.attempts, acceptedUs, ids, status: 202 };
  const end = await awaitEnd(world, job, id);
  if (end !== "ended") return { ...accepted, gone: end === "gone" };
  const results = await readResults(world, job, id);
  if (results === undefined) return accepted;
  return { ...accepted, endedUs: nowUs(), results };
}

type Submitted =
  | { readonly kind: "accepted"; readonly submission: Submission }
  | { readonly kind: "given-up"; readonly status: number; readonly code: string };

async function submit(world: JobWorld, job: Job): Promise<Submitted> {
  const { random, nowUs } = world;
  const inputs = job.questions.map((question) => `{"inputs":${question.inputs}}`).join(",");
  const body = `{"model":"${job.model}","inputs":[${inputs}]}`;
  let said = { status: 0, code: "" };
  for (;;) {
    const exchange = await call(world, job, "POST", "/v2/jobs", body);
    if (exchange.kind === "status") {
      said = { status: exchange.status, code: errorCode(exchange.body) };
      // 200 repeats what was accepted before under the key.
      if (exchange.status === 202 || exchange.status === 200) {
        const view = decodeJson(jobViewSchema, exchange.body);
        if (!view.ok) return { kind: "given-up", ...said };
        const { id } = view.value;
        const ids = await confirm(world, job, body, id);
        return { kind: "accepted", submission: { id, acceptedUs: nowUs(), ids } };
      }
      const isFinal = exchange.status < 500 && exchange.status !== 429;
      if (isFinal) return { kind: "given-up", ...said };
    }
    if (nowUs() - job.submittedUs > SUBMIT_US_MAX) return { kind: "given-up", ...said };
    await sleep(random.next() * Math.min(AGAIN_MS_MAX, AGAIN_MS * 2 ** job.attempts));
  }
}

/**
 * What took more than one connection is sent once more: the key must lead to the same job, or the
 * submissions whose answer was lost made jobs of their own.
 */
async function confirm(
  world: JobWorld,
  job: Job,
  body: string,
  id: string,
): Promise<readonly string[]> {
  if (job.attempts === 1) return [id];
  const again = await call(world, job, "POST", "/v2/jobs", body);
  if (again.kind !== "status" || again.status >= 300) return [id];
  const view = decodeJson(jobViewSchema, again.body);
  return view.ok && view.value.id !== id ? [id, view.value.id] : [id];
}

async function awaitEnd(
  world: JobWorld,
  job: Job,
  id: string,
): Promise<"ended" | "gone" | "stuck"> {
  let unknown = 0;
  for (let look = 0; world.nowUs() < world.untilUs(); look++) {
    const waitMs = Math.min(LOOK_MS_MAX, LOOK_MS * 1.5 ** look);
    await sleep(waitMs * (0.75 + world.random.next() / 2));
    const exchange = await call(world, job, "GET", `/v2/jobs/${id}`);
    if (exchange.kind !== "status") continue;
    if (exchange.status === 404) {
      unknown++;
      if (unknown >= GONE_LOOKS) return "gone";
      continue;
    }
    const view = decodeJson(jobViewSchema, exchange.body);
    if (!view.ok) continue;
    const { state } = view.value;
    if (state === "done" || state === "failed" || state === "cancelled") return "ended";
  }
  return "stuck";
}

/** Undefined where they could not be read in time. */
async function readResults(
  world: JobWorld,
  job: Job,
  id: string,
): Promise<readonly ItemEntry[] | undefined> {
  while (world.nowUs() < world.untilUs()) {
    const exchange = await call(world, job, "GET", `/v2/jobs/${id}/results`);
    if (exchange.kind === "status" && exchange.status === 200) {
      return readLines(world.corpus, job, exchange.body);
    }
    await sleep(AGAIN_MS);
  }
  return undefined;
}

function readLines(corpus: Corpus, job: Job, body: string): readonly ItemEntry[] {
  const entries: ItemEntry[] = [];
  for (const line of body.split("\n")) {
    if (line === "") continue;
    const read = decodeJson(lineSchema, line);
    if (!read.ok) continue;
    const { item, response, error } = read.value;
    const question = job.questions[item]?.id ?? "";
    const { values } = valuesOf(response ?? {});
    const matched = corpus.match(job.model, question, values);
    entries.push({
      index: item,
      ok: response !== undefined,
      code: error?.code ?? "",
      question,
      matched,
    });
  }
  return entries;
}

async function call(
  { client, urls, keys }: JobWorld,
  job: Job,
  method: "GET" | "POST",
  path: string,
  body?: string,
): Promise<Exchange> {
  const isSubmission = method === "POST";
  if (isSubmission) job.attempts++;
  const url = urls[job.ingress % urls.length] ?? "";
  const asked: Call = {
    url,
    method,
    path,
    key: keys[job.tenant] ?? "",
    timeoutMs: CALL_MS_MAX,
    ...(isSubmission ? { headers: { "Idempotency-Key": job.key } } : {}),
    ...(body === undefined ? {} : { body }),
  };
  const exchange = await client.call(asked);
  if (exchange.kind !== "status") job.ingress++;
  return exchange;
}
