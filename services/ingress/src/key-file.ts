/** The keys in use: read at start and again when their file changes; a bad file changes nothing. */

import { readFileSync, unwatchFile, watchFile } from "node:fs";
import type { ClientLimits } from "@millrace/admission";
import type { Fault } from "@millrace/protocol";
import { ConfigError } from "@millrace/runtime";
import { fail, type Log, ok, type Result } from "@millrace/std";
import { type Access, KeyRing, parseKeys } from "./access.ts";
import type { IngressConfig } from "./config.ts";

/** Looked at so often: file events are lost on mounted volumes, a look is not. */
const LOOK_MS = 1_000;

const ANONYMOUS: Access = { client: "anonymous", limits: undefined, models: undefined };

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/;

type KeyConfig = Pick<
  IngressConfig,
  "apiKeysFile" | "anonymous" | "httpHost" | "clientOpenMax" | "clientRateMax"
>;

export const clientLimits = (
  config: Pick<IngressConfig, "clientOpenMax" | "clientRateMax">,
): ClientLimits => ({
  openMax: config.clientOpenMax,
  perSecondMax: config.clientRateMax === 0 ? Infinity : config.clientRateMax,
});

export class KeyFile implements Disposable {
  readonly #path: string;
  readonly #limits: ClientLimits;
  readonly #anonymous: Access | undefined;
  readonly #log: Log;
  #ring: KeyRing;

  /** @throws ConfigError where nobody could be served, or anybody from anywhere. */
  constructor(config: KeyConfig, log: Log) {
    this.#path = config.apiKeysFile;
    this.#limits = clientLimits(config);
    this.#log = log;
    this.#anonymous = config.anonymous === "loopback" ? ANONYMOUS : undefined;
    if (this.#anonymous !== undefined && !LOOPBACK.test(config.httpHost)) {
      throw new ConfigError(
        `MILLRACE_ANONYMOUS is "loopback" and MILLRACE_HTTP_HOST is "${config.httpHost}":` +
          " expected 127.0.0.1, ::1 or localhost, or MILLRACE_ANONYMOUS off and an API key",
      );
    }
    const ring = this.#read();
    if (!ring.ok) {
      throw new ConfigError(`MILLRACE_API_KEYS_FILE is "${this.#path}": ${ring.error}`);
    }
    if (this.#isEmpty(ring.value)) {
      throw new ConfigError(
        "there is no API key: set MILLRACE_API_KEYS_FILE to a file made by `millrace key create`" +
          (this.#path === "" ? "" : ` (${this.#path} has none)`),
      );
    }
    this.#ring = ring.value;
    if (this.#path !== "") {
      watchFile(this.#path, { interval: LOOK_MS, persistent: false }, () => this.reload());
    }
  }

  get ring(): KeyRing {
    return this.#ring;
  }

  /** Whether requests without a key are served: their `Host` is then checked. */
  get isAnonymous(): boolean {
    return this.#anonymous !== undefined;
  }

  reload(): void {
    const ring = this.#read();
    if (!ring.ok) return this.#notRead(ring.error);
    // A file is empty for a moment where it is written anew in its place.
    if (this.#isEmpty(ring.value)) return this.#notRead("no key is in it");
    this.#ring = ring.value;
    this.#log.info({ keys: ring.value.size }, "API keys read");
  }

  #notRead(reason: string): void {
    this.#log.error({ file: this.#path, reason }, "API keys not read; the old hold");
  }

  /** Nobody could be served. */
  #isEmpty(ring: KeyRing): boolean {
    return ring.size === 0 && this.#anonymous === undefined;
  }

  [Symbol.dispose](): void {
    if (this.#path !== "") unwatchFile(this.#path);
  }

  #read(): Result<KeyRing, string> {
    if (this.#path === "") return ok(new KeyRing(new Map(), this.#anonymous));
    let text: string;
    try {
      text = readFileSync(this.#path, "utf8");
    } catch (error) {
      return fail((error as Error).message);
    }
    const keys = parseKeys(text, this.#limits);
    return keys.ok ? ok(new KeyRing(keys.value, this.#anonymous)) : fail(said(keys.error));
  }
}

const said = ({ code, message }: Fault): string => `${code}: ${message}`;
