/**
 * Who a client is: API keys by their SHA-256, compared in constant time, for unknown ids too. A key
 * is 256 random bits, so its hash needs no salt.
 */

import { hash, timingSafeEqual } from "node:crypto";
import * as v from "valibot";
import type { ClientLimits } from "@millrace/admission";
import { decodeJson, type Fault, fault } from "@millrace/protocol";
import { fail, isName, ok, type Result } from "@millrace/std";

/** What a request may do, and whose share it uses. */
export interface Access {
  /** The key's id, or `anonymous`. */
  readonly client: string;
  /** The key's id on whose account it is, where that is not the client's name. */
  readonly tenant?: string;
  readonly limits: ClientLimits | undefined;
  /** Undefined for every model. */
  readonly models: ReadonlySet<string> | undefined;
}

/** I6: all of them are in memory. */
export const KEYS_MAX = 10_000;
/** `mr_<id>_<secret>`: ids have no underscore, so the first one after the prefix ends it. */
const BEARER = /^Bearer mr_([0-9a-z-]{1,64})_[0-9A-Za-z_-]{1,256}$/;
const SCHEME = "Bearer ".length;
const HASH_BYTES = 32;
/** Compared with where no key has the id, so that an unknown id takes as long as a known one. */
const NO_HASH = new Uint8Array(HASH_BYTES);

const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

const keySchema = v.object({
  id: v.pipe(v.string(), v.regex(/^[0-9a-z-]{1,64}$/)),
  /** Lower-case hex SHA-256 of the whole key. */
  hash: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  /** Who or what it is for. */
  name: v.string(),
  createdAt: v.string(),
  /** The only models that it may use. */
  models: v.optional(v.array(v.pipe(v.string(), v.check(isName, "not a model's name")))),
  /** Requests a second, and requests without an answer yet. */
  rate: v.optional(whole),
  concurrency: v.optional(whole),
  /** Reserved for routes that change something; there are none yet. */
  admin: v.optional(v.boolean()),
});

interface Key {
  readonly hash: Uint8Array;
  readonly access: Access;
}

export class KeyRing {
  readonly #keys: ReadonlyMap<string, Key>;
  readonly #anonymous: Access | undefined;

  /** @param anonymous who comes without a key; undefined where nobody may. */
  constructor(keys: ReadonlyMap<string, Key>, anonymous: Access | undefined) {
    this.#keys = keys;
    this.#anonymous = anonymous;
  }

  get size(): number {
    return this.#keys.size;
  }

  /** @param header the request's `Authorization`. */
  authenticate(header: string | undefined): Result<Access, Fault> {
    if (header === undefined && this.#anonymous !== undefined) return ok(this.#anonymous);
    const id = header === undefined ? undefined : BEARER.exec(header)?.[1];
    if (header === undefined || id === undefined) {
      const form = "an API key is needed: Authorization: Bearer mr_<id>_<secret>";
      return fail(fault("UNAUTHENTICATED", form));
    }
    const key = this.#keys.get(id);
    const presented = hash("sha256", header.slice(SCHEME), "buffer");
    if (timingSafeEqual(presented, key?.hash ?? NO_HASH) && key !== undefined) {
      return ok(key.access);
    }
    return fail(fault("UNAUTHENTICATED", "the API key is not known here"));
  }
}

export const mayUse = (access: Access, model: string): boolean =>
  access.models === undefined || access.models.has(model);

/** The keys of a file of JSON lines; the fault names the first line that is wrong. */
export function parseKeys(
  text: string,
  defaults: ClientLimits,
): Result<ReadonlyMap<string, Key>, Fault> {
  const keys = new Map<string, Key>();
  for (const [at, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const parsed = decodeJson(keySchema, line);
    const where = `line ${at + 1}`;
    if (!parsed.ok) return fail(fault(parsed.error.code, `${where}: ${parsed.error.message}`));
    const { id, models, rate, concurrency } = parsed.value;
    if (keys.has(id))
      return fail(fault("INVALID_REQUEST", `${where}: the id ${id} is there twice`));
    if (keys.size === KEYS_MAX) {
      return fail(fault("INVALID_REQUEST", `more than ${KEYS_MAX} keys`));
    }
    const { openMax, perSecondMax } = defaults;
    const own = rate !== undefined || concurrency !== undefined;
    const limits = { openMax: concurrency ?? openMax, perSecondMax: rate ?? perSecondMax };
    keys.set(id, {
      hash: Buffer.from(parsed.value.hash, "hex"),
      access: {
        client: id,
        limits: own ? limits : undefined,
        models: models === undefined ? undefined : new Set(models),
      },
    });
  }
  return ok(keys);
}
