/** Durable jobs at an ingress: what the routes of `/v2/jobs` take and give. */

import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { access } from "node:fs/promises";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import * as v from "valibot";
import {
  checkValue,
  type JobList,
  jobListSchema,
  type JobView,
  jobViewSchema,
} from "@millrace/protocol";
import { CommandError, faultError } from "./failure.ts";
import { askIngress, type Ingress, refusalOf, unreachable } from "./ingress.ts";

export interface JobOrder {
  readonly name: string;
  readonly version: number | undefined;
  /** JSON lines: in a file, `-` for standard input, or as a text. */
  readonly source: { readonly file: string } | { readonly text: string };
  readonly key: string | undefined;
  readonly webhook: string | undefined;
}

const CALL_MS_MAX = 20_000;
/** An upload may take as long as an ingress waits for one. */
const UPLOAD_MS_MAX = 600_000;
/** The same key makes a repeated submission the same job, so it may be repeated. */
const TRIES_MAX = 5;
const AGAIN_MS = 1_000;
const LINES_TYPE = "application/x-ndjson";
const PASSING: ReadonlySet<number> = new Set([409, 502, 503, 504]);

export async function submitJob(ingress: Ingress, order: JobOrder): Promise<JobView> {
  const { name, version, source, webhook } = order;
  const query = new URLSearchParams({ model: name });
  if (version !== undefined) query.set("version", String(version));
  if (webhook !== undefined) query.set("webhook", webhook);
  const isRepeatable = !("file" in source) || source.file !== "-";
  if ("file" in source && isRepeatable) await access(source.file);
  const headers = {
    ...authorization(ingress),
    "content-type": LINES_TYPE,
    "idempotency-key": order.key ?? randomUUID(),
  };
  const path = `/v2/jobs?${query.toString()}`;
  for (let tries = 1; ; tries++) {
    const isLast = !isRepeatable || tries === TRIES_MAX;
    const job = await trySubmit(ingress, path, headers, source, isLast);
    if (job !== undefined) return job;
    await sleep(AGAIN_MS);
  }
}

/** Undefined for what may pass, unless it was the last try. */
async function trySubmit(
  ingress: Ingress,
  path: string,
  headers: Readonly<Record<string, string>>,
  source: JobOrder["source"],
  isLast: boolean,
): Promise<JobView | undefined> {
  let response: Response;
  try {
    response = await fetch(ingress.url + path, {
      method: "POST",
      headers,
      body: bodyOf(source),
      // Streams are sent while they are read.
      duplex: "half",
      signal: AbortSignal.timeout(UPLOAD_MS_MAX),
    });
  } catch (error) {
    if (!isLast) return undefined;
    throw unreachable(ingress.url, error, UPLOAD_MS_MAX);
  }
  const value = await readJson(ingress, path, response);
  if (response.ok) return viewOf(value);
  if (!isLast && PASSING.has(response.status) && !isFinalConflict(value)) return undefined;
  throw refusalOf(response.status, value);
}

const conflictSchema = v.object({ error: v.string(), code: v.literal("JOB_CONFLICT") });

/** The key was used for something else; while the same is being received it is another message. */
const isFinalConflict = (value: unknown): boolean => {
  const conflict = checkValue(conflictSchema, value);
  return conflict.ok && conflict.value.error.includes("belongs to job");
};

function bodyOf(source: JobOrder["source"]): string | ReadableStream {
  if ("text" in source) return source.text;
  const stream = source.file === "-" ? process.stdin : createReadStream(source.file);
  return Readable.toWeb(stream) as ReadableStream;
}

export async function readJob(ingress: Ingress, id: string): Promise<JobView> {
  const path = `/v2/jobs/${encodeURIComponent(id)}`;
  return viewOf(await askIngress(ingress, { method: "GET", path, timeoutMs: CALL_MS_MAX }));
}

export async function cancelJob(ingress: Ingress, id: string): Promise<JobView> {
  const path = `/v2/jobs/${encodeURIComponent(id)}/cancel`;
  return viewOf(await askIngress(ingress, { method: "POST", path, timeoutMs: CALL_MS_MAX }));
}

export async function listJobs(ingress: Ingress, limit: number): Promise<JobList> {
  const path = `/v2/jobs?limit=${limit}`;
  const answer = await askIngress(ingress, { method: "GET", path, timeoutMs: CALL_MS_MAX });
  const listed = checkValue(jobListSchema, answer);
  if (!listed.ok) throw faultError(listed.error);
  return listed.value;
}

/** JSON lines, as they come. */
export async function openResults(
  ingress: Ingress,
  id: string,
  partial: boolean,
): Promise<Readable> {
  const path = `/v2/jobs/${encodeURIComponent(id)}/results${partial ? "?partial=true" : ""}`;
  let response: Response;
  try {
    response = await fetch(ingress.url + path, { headers: authorization(ingress) });
  } catch (error) {
    throw unreachable(ingress.url, error, CALL_MS_MAX);
  }
  if (!response.ok) throw refusalOf(response.status, await readJson(ingress, path, response));
  const { body } = response;
  // An empty answer has no stream.
  return body === null ? Readable.from([]) : Readable.fromWeb(body as never);
}

const authorization = ({ key }: Ingress): Readonly<Record<string, string>> =>
  key === undefined ? {} : { authorization: `Bearer ${key}` };

async function readJson(ingress: Ingress, path: string, response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    throw new CommandError(
      `${ingress.url}${path} answered ${response.status} without JSON`,
      "see that MILLRACE_URL is the address of an ingress",
    );
  }
}

function viewOf(value: unknown): JobView {
  const view = checkValue(jobViewSchema, value);
  if (!view.ok) throw faultError(view.error);
  return view.value;
}
