/** The routes of durable jobs, and what a path asks for. */

import { type Fault, fault } from "@millrace/protocol";
import { fail, isName, ok, type Result } from "@millrace/std";
import { isDigest } from "@millrace/store";

export type JobRoute =
  | { readonly kind: "submit" }
  | { readonly kind: "list"; readonly query: URLSearchParams }
  | { readonly kind: "show" | "cancel"; readonly job: string }
  | { readonly kind: "results"; readonly job: string; readonly partial: boolean }
  | { readonly kind: "upload"; readonly digest: string | undefined };

const JOBS = /^\/v2\/jobs(?:\/([^/]+)(?:\/(results|cancel))?)?$/;
const OBJECTS = /^\/v2\/objects(?:\/([^/]+))?$/;

/** Whether a target is one of these routes at all. */
export const isJobTarget = (target: string): boolean =>
  /^\/v2\/(?:jobs|objects)(?:[/?]|$)/.test(target);

/** The header of a METHOD_NOT_ALLOWED, from its message. */
export const allowOf = ({ code, message }: Fault): readonly string[] =>
  code === "METHOD_NOT_ALLOWED"
    ? ["Allow", message.replace(/.*takes /, "").replace(" or ", ", ")]
    : [];

/** METHOD_NOT_ALLOWED names the methods that the path takes. */
export function matchJobRoute(method: string, target: string): Result<JobRoute, Fault> {
  const { path, query } = splitTarget(target);
  const object = OBJECTS.exec(path);
  if (object !== null) return matchObject(method, object[1]);
  const match = JOBS.exec(path);
  if (match === null) return fail(fault("ROUTE_NOT_FOUND", "there is no such route of jobs"));
  const [, job, action] = match;
  if (job === undefined) {
    if (method === "POST") return ok({ kind: "submit" });
    return method === "GET" ? ok({ kind: "list", query }) : notAllowed("GET or POST");
  }
  // I9: what is no name never becomes part of a subject.
  if (!isName(job)) return fail(fault("JOB_NOT_FOUND", "there is no job of this name"));
  if (action === "results") {
    const partial = query.get("partial") === "true";
    return method === "GET" ? ok({ kind: "results", job, partial }) : notAllowed("GET");
  }
  if (action === "cancel") {
    return method === "POST" ? ok({ kind: "cancel", job }) : notAllowed("POST");
  }
  if (method === "GET") return ok({ kind: "show", job });
  return method === "DELETE" ? ok({ kind: "cancel", job }) : notAllowed("GET or DELETE");
}

function matchObject(method: string, digest: string | undefined): Result<JobRoute, Fault> {
  if (digest === undefined) {
    return method === "POST" ? ok({ kind: "upload", digest }) : notAllowed("POST");
  }
  if (!isDigest(digest)) {
    return fail(fault("INVALID_NAME", "an object's name is its SHA-256, 64 hexadecimal digits"));
  }
  return method === "PUT" ? ok({ kind: "upload", digest }) : notAllowed("PUT");
}

export function splitTarget(target: string): {
  readonly path: string;
  readonly query: URLSearchParams;
} {
  const at = target.indexOf("?");
  if (at === -1) return { path: target, query: new URLSearchParams() };
  return { path: target.slice(0, at), query: new URLSearchParams(target.slice(at + 1)) };
}

const notAllowed = (methods: string): Result<JobRoute, Fault> =>
  fail(fault("METHOD_NOT_ALLOWED", `this route takes ${methods}`));
