/** Talks to an ingress over HTTP: where it is, which key it gets, and what its errors mean. */

import { readFileSync } from "node:fs";
import * as v from "valibot";
import { checkValue, ERRORS, type ErrorCode, fault } from "@millrace/protocol";
import { CommandError, faultError } from "./failure.ts";
import { type ClusterState, readState } from "./state.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Ingress {
  /** Without a slash at the end. */
  readonly url: string;
  readonly key?: string;
}

const DEFAULT_URL = "http://127.0.0.1:8080";

/** MILLRACE_URL and MILLRACE_API_KEY(_FILE) first, then the cluster of `millrace up`. */
export function findIngress(
  environment: Environment,
  state: ClusterState | undefined = readState(),
): Ingress {
  const { MILLRACE_URL, MILLRACE_API_KEY, MILLRACE_API_KEY_FILE } = environment;
  const url = (MILLRACE_URL || state?.url || DEFAULT_URL).replace(/\/+$/, "");
  if (!URL.canParse(url) || !/^https?:/.test(url)) {
    throw new CommandError(`MILLRACE_URL is ${url}`, "expected http://HOST:PORT");
  }
  if (MILLRACE_API_KEY) return { url, key: MILLRACE_API_KEY };
  // The local cluster's key is for the local cluster: it is not shown to any other server.
  const keyFile = MILLRACE_API_KEY_FILE || (url === state?.url ? state.keyFile : undefined);
  return keyFile === undefined ? { url } : { url, key: readFileSync(keyFile, "utf8").trim() };
}

export interface IngressRequest {
  readonly method: "GET" | "POST";
  /** From `/v2` on. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer>;
  readonly timeoutMs: number;
}

const errorSchema = v.object({ error: v.string(), code: v.optional(v.string()) });

/** The JSON of a success. @throws CommandError for anything else. */
export async function askIngress(ingress: Ingress, request: IngressRequest): Promise<unknown> {
  const { method, path, headers, body, timeoutMs } = request;
  const key = ingress.key === undefined ? {} : { authorization: `Bearer ${ingress.key}` };
  let status: number;
  let text: string;
  try {
    const response = await fetch(ingress.url + path, {
      method,
      headers: { ...key, ...headers },
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === undefined ? {} : { body }),
    });
    status = response.status;
    text = await response.text();
  } catch (error) {
    throw unreachable(ingress.url, error, timeoutMs);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new CommandError(
      `${ingress.url}${path} answered ${status} without JSON`,
      "see that MILLRACE_URL is the address of an ingress",
    );
  }
  if (status >= 200 && status < 300) return value;
  throw refusalOf(status, value);
}

/** What an ingress that refused says of it. */
export function refusalOf(status: number, value: unknown): CommandError {
  const answer = checkValue(errorSchema, value);
  const message = answer.ok ? answer.value.error : `the ingress answered ${status}`;
  const code = answer.ok ? answer.value.code : undefined;
  if (code !== undefined && isErrorCode(code)) return faultError(fault(code, message));
  return new CommandError(message, "see `millrace status` and the services' logs");
}

const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(ERRORS, code);

export function unreachable(url: string, error: unknown, timeoutMs: number): CommandError {
  if (error instanceof DOMException && error.name === "TimeoutError") {
    const problem = `${url} did not answer within ${timeoutMs} ms`;
    return new CommandError(problem, "see `millrace status`, or allow more time with --timeout");
  }
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  const { code } = cause as NodeJS.ErrnoException;
  const reason = code ?? (cause instanceof Error ? cause.message : String(cause));
  return new CommandError(
    `no ingress at ${url} (${reason})`,
    "start a cluster with `npm run up`, or set MILLRACE_URL",
  );
}
