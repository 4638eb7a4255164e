/** The routes of the Open Inference Protocol that are served, and what a path asks for. */

import { type Fault, fault } from "@millrace/protocol";
import { fail, isName, NAME_RULE, ok, type Result } from "@millrace/std";

export type ModelAction = "metadata" | "ready" | "config" | "stats" | "infer";

export type Route =
  | { readonly kind: "server" | "live" | "ready" | "index" }
  | {
      readonly kind: "model";
      readonly action: ModelAction;
      readonly name: string;
      /** Undefined for the version that serves. */
      readonly version: number | undefined;
    };

export const methodOf = (route: Route): "GET" | "POST" =>
  route.kind === "index" || (route.kind === "model" && route.action === "infer") ? "POST" : "GET";

const FIXED: ReadonlyMap<string, Route> = new Map([
  ["/v2", { kind: "server" }],
  ["/v2/health/live", { kind: "live" }],
  ["/v2/health/ready", { kind: "ready" }],
  ["/v2/repository/index", { kind: "index" }],
]);

const MODELS = "/v2/models/";
const ACTIONS: ReadonlySet<string> = new Set<ModelAction>(["ready", "config", "stats", "infer"]);

/** @param target of the request line; a query is passed over. */
export function matchRoute(target: string): Result<Route, Fault> {
  const query = target.indexOf("?");
  const path = query === -1 ? target : target.slice(0, query);
  if (!path.startsWith(MODELS)) {
    const route = FIXED.get(path);
    return route === undefined ? notFound() : ok(route);
  }
  const [encoded = "", ...rest] = path.slice(MODELS.length).split("/");
  const versioned = rest[0] === "versions";
  const [action, more] = versioned ? rest.slice(2) : rest;
  if (more !== undefined || (action !== undefined && !ACTIONS.has(action))) return notFound();
  // I9: a name that is no name never becomes part of a subject, a file or a metric.
  const name = decode(encoded);
  if (!isName(name)) return fail(fault("INVALID_NAME", `a model's name is ${NAME_RULE}`));
  const version = versioned ? rest[1] : undefined;
  if (versioned && !/^[1-9]\d{0,8}$/.test(version ?? "")) {
    return fail(fault("VERSION_NOT_FOUND", "a version is a whole number from 1"));
  }
  return ok({
    kind: "model",
    action: (action ?? "metadata") as ModelAction,
    name,
    version: version === undefined ? undefined : Number(version),
  });
}

const notFound = (): Result<Route, Fault> =>
  fail(fault("ROUTE_NOT_FOUND", "there is no such route; GET /v2 says what is here"));

/** The empty string, which is no name, for what cannot be decoded. */
function decode(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}
