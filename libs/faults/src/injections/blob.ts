/**
 * A model's file in the object store with a wrong byte: a second copy of its chunks, one of them
 * damaged, that the object points to for a while. The good chunks stay where they are.
 */

import { randomBytes } from "node:crypto";
import { BLOB_BUCKET, decodeJson, encodeJson, FaultError } from "@millrace/protocol";
import { headers as natsHeaders } from "@nats-io/transport-node";
import * as v from "valibot";
import { type BrokerAccess, checkAnswer, type HealAction } from "../healer/actions.ts";
import { type Injection, type InjectionContext, textOf } from "./injection.ts";

const STREAM = `OBJ_${BLOB_BUCKET}`;
const META = `$O.${BLOB_BUCKET}.M.`;
const CHUNKS = `$O.${BLOB_BUCKET}.C.`;
const ASK_MS = 2_000;
const CHUNKS_MAX = 64;
/** The newest message of a subject replaces the others: how objects are updated. */
const ROLLUP = { "Nats-Rollup": "sub" };

const infoSchema = v.object({
  state: v.object({ subjects: v.optional(v.record(v.string(), v.number()), {}) }),
});
const messageSchema = v.object({ message: v.object({ seq: v.number(), data: v.string() }) });
const metaSchema = v.looseObject({
  name: v.string(),
  nuid: v.string(),
  chunks: v.number(),
  deleted: v.optional(v.boolean(), false),
});
type Meta = v.InferOutput<typeof metaSchema>;

export async function corruptBlob(context: InjectionContext): Promise<Injection> {
  const { access, spec } = context;
  const ask = asker(context);
  const { subject, meta, payload } = await findObject(ask, textOf(spec, "digest"));
  const nuid = randomBytes(11).toString("hex");
  const damaged = encodeJson({ ...meta, nuid });
  return {
    undo: [
      request(access, subject, payload, ROLLUP),
      request(access, `$JS.API.STREAM.PURGE.${STREAM}`, encodeJson({ filter: CHUNKS + nuid }), {}),
    ],
    begin: async () => {
      await copyDamaged(ask, CHUNKS + meta.nuid, CHUNKS + nuid, meta.chunks);
      await ask(subject, damaged, ROLLUP);
    },
  };
}

type Ask = (
  subject: string,
  payload: Uint8Array,
  headers?: Readonly<Record<string, string>>,
) => Promise<Uint8Array>;

/** @throws Error where JetStream refuses: what was not written is not a fault. */
const asker =
  ({ bus }: InjectionContext): Ask =>
  async (subject, payload, extra = {}) => {
    const headers = natsHeaders();
    for (const [key, value] of Object.entries(extra)) headers.set(key, value);
    const answer = await bus.connection.request(subject, payload, { timeout: ASK_MS, headers });
    checkAnswer(subject, answer.data);
    return answer.data;
  };

async function findObject(
  ask: Ask,
  digest: string,
): Promise<{ readonly subject: string; readonly meta: Meta; readonly payload: Uint8Array }> {
  const wanted = encodeJson({ subjects_filter: `${META}>` });
  const info = decodeJson(infoSchema, await ask(`$JS.API.STREAM.INFO.${STREAM}`, wanted));
  const metas = info.ok ? Object.keys(info.value.state.subjects).toSorted() : [];
  for (const subject of metas) {
    const query = encodeJson({ last_by_subj: subject });
    const found = decodeJson(messageSchema, await ask(`$JS.API.STREAM.MSG.GET.${STREAM}`, query));
    if (!found.ok) continue;
    const payload = Buffer.from(found.value.message.data, "base64");
    const meta = decodeJson(metaSchema, payload);
    if (!meta.ok || meta.value.deleted || (digest !== "" && meta.value.name !== digest)) continue;
    if (meta.value.chunks > CHUNKS_MAX) continue;
    return { subject, meta: meta.value, payload };
  }
  const which = digest === "" ? "no file" : `no file ${digest}`;
  const message = `the object store has ${which} of at most ${CHUNKS_MAX} chunks`;
  throw new FaultError("FAULT_NO_TARGET", message);
}

async function copyDamaged(ask: Ask, from: string, to: string, chunks: number): Promise<void> {
  let seq = 1;
  for (let copied = 0; copied < chunks; copied++) {
    const query = encodeJson({ seq, next_by_subj: from });
    const found = decodeJson(messageSchema, await ask(`$JS.API.STREAM.MSG.GET.${STREAM}`, query));
    if (!found.ok) throw new Error(`the chunk after ${seq} of ${from}: ${found.error.message}`);
    const { message } = found.value;
    const chunk = Buffer.from(message.data, "base64");
    const at = Math.floor(chunk.length / 2);
    if (copied === 0) chunk[at] = (chunk[at] ?? 0) ^ 0xff;
    await ask(to, chunk);
    seq = message.seq + 1;
  }
}

const request = (
  access: BrokerAccess,
  subject: string,
  payload: Uint8Array,
  headers: Readonly<Record<string, string>>,
): HealAction => ({
  type: "ask",
  access,
  subject,
  payload: Buffer.from(payload).toString("base64"),
  headers,
  optional: false,
});
