/**
 * One request as a well-behaved client makes it. It sends again, with the same id and inside the
 * same deadline, only what has no status yet: an ingress that takes no connection, one whose
 * connection broke, as while it is started again, or one that is no longer ready. An answer with a
 * status is final, 503 included, so whatever the cluster could not do counts against it.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "@millrace/std";
import { type Client, errorCode, type Exchange } from "./client.ts";
import { type Corpus, type Question, requestBody, valuesOf } from "./corpus.ts";
import type { Ingresses } from "./ingresses.ts";
import type { LoadShare, RequestEntry } from "./settings.ts";

/** Between two connections: doubled each time, with full jitter. */
const AGAIN_MS = 20;
const AGAIN_MS_MAX = 200;
/** A client that waits for an answer past its deadline learns what the cluster says of it. */
const GRACE_MS = 5_000;

export interface Asking {
  readonly id: string;
  readonly share: LoadShare;
  readonly tenant: number;
  readonly key: string;
  readonly intendedUs: number;
  /** Undefined for a poison input. */
  readonly question: Question | undefined;
  readonly inputs: string;
}

export interface AskingWorld {
  readonly client: Client;
  readonly corpus: Corpus;
  readonly ingresses: Ingresses;
  readonly random: Random;
  /** Microseconds since the start of the load. */
  readonly nowUs: () => number;
}

export async function ask(world: AskingWorld, asking: Asking): Promise<RequestEntry> {
  const { id, share, tenant, intendedUs, question } = asking;
  const sentUs = world.nowUs();
  const { exchange, attempts } = await exchangeUntil(world, asking);
  const endedUs = world.nowUs();
  const status = exchange.kind === "status" ? exchange.status : 0;
  const answered = status === 200;
  const answer = answered && exchange.kind === "status" ? valuesOf(exchange.body) : undefined;
  return {
    type: "request",
    id,
    tenant,
    model: share.model,
    priority: share.priority,
    intendedUs,
    sentUs,
    endedUs,
    budgetUs: share.deadlineUs,
    attempts,
    poison: question === undefined,
    ending: endingOf(exchange),
    status,
    code: codeOf(exchange),
    question: question?.id ?? "",
    matched: answer === undefined ? "" : matchedBy(world.corpus, asking, answer),
  };
}

/** An answer under another request's id is not this one's, whatever its values. */
function matchedBy(
  corpus: Corpus,
  { id, share, question }: Asking,
  answer: { readonly id: string; readonly values: readonly number[] },
): string {
  if (answer.id !== id) return `of ${answer.id}`;
  return corpus.match(share.model, question?.id ?? "", answer.values);
}

function endingOf(exchange: Exchange): RequestEntry["ending"] {
  if (exchange.kind === "status") return exchange.status === 200 ? "answered" : "refused";
  return exchange.kind === "unreached" ? "unreached" : "unknown";
}

function codeOf(exchange: Exchange): string {
  if (exchange.kind !== "status") return exchange.kind === "late" ? "CLIENT_GAVE_UP" : "";
  return exchange.status === 200 ? "" : errorCode(exchange.body);
}

async function exchangeUntil(
  { client, ingresses, random, nowUs }: AskingWorld,
  { id, share, key, intendedUs, inputs }: Asking,
): Promise<{ readonly exchange: Exchange; readonly attempts: number }> {
  const deadlineUs = intendedUs + share.deadlineUs;
  const path = `/v2/models/${share.model}/infer`;
  // Clients are spread over the ingresses, and each goes on to the next where one fails it.
  const first = ingresses.draw(random);
  let last: Exchange | undefined;
  for (let attempts = 1; ; attempts++) {
    const { url, signal } = ingresses.choose(first, attempts - 1);
    const leftUs = Math.max(1_000, deadlineUs - nowUs());
    const body = requestBody(id, inputs, { timeoutUs: leftUs, priority: share.priority });
    const timeoutMs = leftUs / 1000 + GRACE_MS;
    const exchange = await client.call({ url, method: "POST", path, key, body, timeoutMs, signal });
    // One that broke may have been taken: it stays unknown, whatever the later ones meet.
    if (exchange.kind !== "unreached" || last?.kind !== "broken") last = exchange;
    if (exchange.kind === "status" || exchange.kind === "late") return { exchange, attempts };
    const waitMs = random.next() * Math.min(AGAIN_MS_MAX, AGAIN_MS * 2 ** attempts);
    if (nowUs() + waitMs * 1000 >= deadlineUs) return { exchange: last, attempts };
    await sleep(waitMs);
  }
}
