/**
 * Turns what a client sends into the items of one job: a JSON document, JSON lines as they come in,
 * or an object that was uploaded before. Memory is bounded by the longest item, not by the upload.
 */

import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { isAccepted, type JobDraft, LineSplitter } from "@millrace/jobs";
import { checkNesting, DEPTH_MAX } from "@millrace/openinference";
import {
  decodeJson,
  type Fault,
  fault,
  JOB_ITEM_BYTES_MAX,
  type JobRecord,
  type JobRequest,
  jobRequestSchema,
  JSON_BYTES_MAX,
} from "@millrace/protocol";
import { fail, formatBytes, isName, NAME_RULE, ok, type Result } from "@millrace/std";
import type { JobStore } from "@millrace/store";
import { type Access, mayUse } from "../access.ts";
import type { Catalogue, ServedModel } from "../catalogue.ts";
import { jobIdOf, newJobId, readIdempotencyKey } from "./job-ids.ts";
import { splitTarget } from "./job-routes.ts";
import { PUBLISHING_MAX, Submission, type SubmissionOptions } from "./submission.ts";
import type { WebhookHosts } from "./webhook-address.ts";

export interface IntakeOptions extends SubmissionOptions {
  readonly store: Pick<JobStore, "records" | "queue" | "objects">;
  readonly catalogue: Catalogue;
  readonly hosts: WebhookHosts;
  /** Of one upload of JSON lines. */
  readonly uploadBytesMax: number;
  /** Of all that is in memory of what is being taken in. */
  readonly heldBytesMax: number;
}

export interface Accepted {
  readonly record: JobRecord;
  /** The same was submitted before, under the same Idempotency-Key. */
  readonly repeated: boolean;
}

type Intaken = Result<Accepted, Fault>;
/** What a job is to be, before its items. */
type Order = Pick<JobRequest, "model" | "version" | "webhook">;

/**
 * What of a stream of items is in memory at most: one item that is being read, one chunk that is
 * being packed, and those that wait for their acknowledgement.
 */
const STREAM_BYTES_MAX = (2 + PUBLISHING_MAX) * JOB_ITEM_BYTES_MAX;
/** Of a job's document around its items. */
const JOB_LEVELS = 2;
const LINES_TYPE = /^application\/(?:x-ndjson|jsonl|x-jsonlines|jsonlines)\s*(?:;|$)/i;

export class Intake {
  readonly #options: IntakeOptions;
  #heldBytes = 0;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** Reads the request's body, all of it or as far as it makes sense. */
  async take(request: IncomingMessage, access: Access): Promise<Intaken> {
    if (!isName(access.client)) {
      const message = `the API key's id is ${access.client}; jobs need one that is ${NAME_RULE}`;
      return fail(fault("FORBIDDEN", message));
    }
    const encoding = request.headers["content-encoding"] ?? "identity";
    if (encoding !== "identity") {
      return fail(fault("UNSUPPORTED_ENCODING", `Content-Encoding ${encoding} is not accepted`));
    }
    const key = readIdempotencyKey(request.headers["idempotency-key"]?.toString());
    if (!key.ok) return key;
    const id = key.value === undefined ? newJobId() : jobIdOf(access.client, key.value);
    // I6: what of it is in memory until its job is accepted, and of all of them together.
    let held = 0;
    const hold: Hold = (bytes) => {
      if (this.#heldBytes + bytes > this.#options.heldBytesMax) return false;
      this.#heldBytes += bytes;
      held += bytes;
      return true;
    };
    try {
      // As for inference, whatever is not said to be something else is JSON.
      return LINES_TYPE.test(request.headers["content-type"] ?? "")
        ? await this.#takeLines(request, access, id, hold)
        : await this.#takeDocument(request, access, id, hold);
    } finally {
      this.#heldBytes -= held;
    }
  }

  async #takeDocument(
    request: IncomingMessage,
    access: Access,
    id: string,
    hold: Hold,
  ): Promise<Intaken> {
    const read = await readBody(request, hold);
    if (!read.ok) return read;
    const body = read.value;
    const nesting = checkNesting(body, DEPTH_MAX + JOB_LEVELS);
    if (!nesting.ok) return notJson(nesting.error);
    const document = decodeJson(jobRequestSchema, body);
    if (!document.ok)
      return document.error.code === "INVALID_JSON" ? notJson(document.error) : document;
    const { inputs, source } = document.value;
    if ((inputs === undefined) === (source === undefined)) {
      const message = 'a job needs either "inputs" or "source": {"object": "<sha256>"}';
      return fail(fault("INVALID_REQUEST", message));
    }
    const digest = createHash("sha256").update(body).digest("hex");
    const before = await this.#standing(access.client, id);
    if (!before.ok) return before;
    if (before.value !== undefined) return repeat(before.value, digest);
    if (source !== undefined) {
      const object = await this.#options.store.objects.open(access.client, source.object);
      if (!object.ok) return object;
      return this.#receive(access, id, document.value, (job) =>
        addLines(job, heldPieces(object.value, STREAM_BYTES_MAX, hold), undefined).then((added) =>
          added.ok ? ok(digest) : added,
        ),
      );
    }
    return this.#receive(access, id, document.value, async (job) => {
      for (const value of inputs ?? []) {
        const added = await job.addValue(value);
        if (!added.ok) return added;
      }
      return ok(digest);
    });
  }

  async #takeLines(
    request: IncomingMessage,
    access: Access,
    id: string,
    hold: Hold,
  ): Promise<Intaken> {
    const order = readQuery(request.url ?? "");
    if (!order.ok) return order;
    // The query is a part of what is submitted.
    const hash = createHash("sha256").update(JSON.stringify(order.value));
    const { uploadBytesMax } = this.#options;
    const pieces = heldPieces(boundedPieces(request, uploadBytesMax), STREAM_BYTES_MAX, hold);
    const before = await this.#standing(access.client, id);
    if (!before.ok) return before;
    if (before.value !== undefined) {
      const read = await drainInto(pieces, hash);
      return read.ok ? repeat(before.value, hash.digest("hex")) : read;
    }
    return this.#receive(access, id, order.value, async (job) => {
      const added = await addLines(job, pieces, hash);
      return added.ok ? ok(hash.digest("hex")) : added;
    });
  }

  /** The job that was accepted under this id, if one was. */
  async #standing(tenant: string, id: string): Promise<Result<JobRecord | undefined, Fault>> {
    const read = await this.#options.store.records.read(tenant, id);
    if (!read.ok) return read;
    const { record } = read.value;
    return ok(record !== undefined && isAccepted(record) ? record : undefined);
  }

  /** @param addAll adds the items, and returns the digest of what was submitted. */
  async #receive(
    access: Access,
    id: string,
    order: Order,
    addAll: (job: Submission) => Promise<Result<string, Fault>>,
  ): Promise<Intaken> {
    const model = this.#check(access, order);
    if (!model.ok) return model;
    const draft: JobDraft = {
      id,
      tenant: access.client,
      model: order.model,
      version: order.version,
      webhook: order.webhook,
    };
    const begun = await Submission.begin(this.#options, draft, model.value.signature);
    if (!begun.ok) return begun;
    const digest = await addAll(begun.value);
    const accepted = digest.ok ? await begun.value.accept(digest.value) : digest;
    if (accepted.ok) return ok({ record: accepted.value, repeated: false });
    await begun.value.withdraw();
    return accepted;
  }

  #check(access: Access, { model, version, webhook }: Order): Result<ServedModel, Fault> {
    const { catalogue, hosts } = this.#options;
    if (!mayUse(access, model)) {
      return fail(fault("FORBIDDEN", `the API key does not permit ${model}`));
    }
    const url = webhook === undefined ? ok(undefined) : hosts.check(webhook);
    return url.ok ? catalogue.serve(model, version) : url;
  }
}

const notJson = ({ message }: Fault): Result<never, Fault> =>
  fail(fault("INVALID_JSON", `${message}; JSON lines come as Content-Type: application/x-ndjson`));

/** The same submission again is the same job; another one under its key is a mistake. */
function repeat(record: JobRecord, digest: string): Intaken {
  if (record.digest === digest) return ok({ record, repeated: true });
  const message = `the Idempotency-Key belongs to job ${record.id}, which was another submission`;
  return fail(fault("JOB_CONFLICT", message));
}

function readQuery(target: string): Result<Order, Fault> {
  const { query } = splitTarget(target);
  const model = query.get("model") ?? "";
  if (!isName(model)) {
    return fail(fault("INVALID_NAME", `?model=NAME is needed; a model's name is ${NAME_RULE}`));
  }
  const version = query.get("version");
  if (version !== null && !/^[1-9]\d{0,8}$/.test(version)) {
    return fail(fault("VERSION_NOT_FOUND", "a version is a whole number from 1"));
  }
  const webhook = query.get("webhook");
  return ok({
    model,
    ...(version === null ? {} : { version: Number(version) }),
    ...(webhook === null ? {} : { webhook }),
  });
}

/** Raised by a body that is not to be read on. */
class BodyError extends Error {
  readonly fault: Fault;

  constructor(reason: Fault) {
    super(reason.message);
    this.fault = reason;
  }
}

/** The body's pieces. It stays open when nobody reads on, so that the answer can be seen. */
async function* boundedPieces(
  request: IncomingMessage,
  bytesMax: number,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const piece of request.iterator({ destroyOnReturn: false })) {
    bytes += (piece as Buffer).length;
    if (bytes > bytesMax) {
      throw new BodyError(fault("BODY_TOO_LARGE", `a body may have ${formatBytes(bytesMax)}`));
    }
    yield piece as Buffer;
  }
}

/** Says whether there is room for so many bytes more, and takes it. */
type Hold = (bytes: number) => boolean;

/** The pieces, and room for as much of them as is in memory at once: `most` of what has passed. */
async function* heldPieces(
  pieces: AsyncIterable<Uint8Array>,
  most: number,
  hold: Hold,
): AsyncGenerator<Uint8Array> {
  let held = 0;
  for await (const piece of pieces) {
    const more = Math.min(piece.length, most - held);
    if (more > 0 && !hold(more)) throw new BodyError(FULL);
    held += more;
    yield piece;
  }
}

/** What stopped the reading of a body, in the words of the catalogue. */
const bodyFault = (error: unknown): Fault =>
  error instanceof BodyError
    ? error.fault
    : fault("TRUNCATED_BODY", `the body ended before its end: ${(error as Error).message}`);

async function readBody(request: IncomingMessage, hold: Hold): Promise<Result<Uint8Array, Fault>> {
  const pieces: Uint8Array[] = [];
  try {
    const bounded = boundedPieces(request, JSON_BYTES_MAX);
    for await (const piece of heldPieces(bounded, JSON_BYTES_MAX, hold)) pieces.push(piece);
  } catch (error) {
    const reason = bodyFault(error);
    if (reason.code !== "BODY_TOO_LARGE") return fail(reason);
    const message = `${reason.message} of JSON; send more inputs as application/x-ndjson`;
    return fail(fault("BODY_TOO_LARGE", message));
  }
  return ok(Buffer.concat(pieces));
}

const FULL = fault("OVERLOADED", "as much of jobs is being read as there is room for");

async function drainInto(
  pieces: AsyncIterable<Uint8Array>,
  hash: { update(bytes: Uint8Array): unknown },
): Promise<Result<void, Fault>> {
  try {
    for await (const piece of pieces) hash.update(piece);
    return ok(undefined);
  } catch (error) {
    return fail(bodyFault(error));
  }
}

/** One item per line; empty lines are passed over. */
async function addLines(
  job: Submission,
  pieces: AsyncIterable<Uint8Array>,
  hash: { update(bytes: Uint8Array): unknown } | undefined,
): Promise<Result<void, Fault>> {
  const splitter = new LineSplitter(JOB_ITEM_BYTES_MAX);
  const add = (line: ReturnType<LineSplitter["end"]>): Promise<Result<void, Fault>> => {
    if (line === undefined) return Promise.resolve(ok(undefined));
    if (line.kind === "tooLong") return job.addTooLong();
    const isBlank = line.bytes.every((byte) => byte === 0x20 || byte === 0x09);
    return isBlank ? Promise.resolve(ok(undefined)) : job.add(line.bytes);
  };
  try {
    for await (const piece of pieces) {
      hash?.update(piece);
      for (const line of splitter.push(piece)) {
        const added = await add(line);
        if (!added.ok) return added;
      }
    }
  } catch (error) {
    return fail(bodyFault(error));
  }
  return add(splitter.end());
}
