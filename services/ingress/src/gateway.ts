/** Decides what an HTTP request gets: who asks, for what, and whether its body is worth reading. */

import type { IncomingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import {
  type IndexEntry,
  modelConfig,
  modelMetadata,
  modelStats,
  readHeaderLength,
  repositoryIndex,
  serverMetadata,
} from "@millrace/openinference";
import { type Fault, fault, modelRef } from "@millrace/protocol";
import type { Logger } from "@millrace/runtime";
import { fail, type Result, unreachable } from "@millrace/std";
import { type Access, type KeyRing, mayUse } from "./access.ts";
import { type BodyReader, discard } from "./body.ts";
import type { Catalogue, ServedModel } from "./catalogue.ts";
import type { Inference } from "./inference.ts";
import type { IngressMetrics } from "./ingress-metrics.ts";
import { allowOf, isJobTarget } from "./jobs/job-routes.ts";
import type { Jobs } from "./jobs/jobs.ts";
import type { KeyFile } from "./key-file.ts";
import { type Reply, replyDocument, replyFault } from "./reply.ts";
import type { Request } from "./request.ts";
import { matchRoute, methodOf, type Route } from "./routes.ts";
import { traceFor } from "./trace.ts";

export interface GatewayOptions {
  readonly version: string;
  readonly keys: KeyFile;
  readonly catalogue: Catalogue;
  readonly bodies: BodyReader;
  readonly inference: Inference;
  readonly jobs: Pick<Jobs, "handle">;
  readonly metrics: IngressMetrics;
  readonly log: Logger;
  readonly nowUs: () => number;
  /** Whether requests can be served at all. */
  readonly isReady: () => boolean;
  /** Whether a live worker holds the model version ready. */
  readonly isModelReady: (ref: string) => boolean;
}

type ModelRoute = Extract<Route, { readonly kind: "model" }>;

/**
 * What a page from elsewhere cannot make a browser send to a server on this machine: as the Host,
 * where the page's own name was bound to a loopback address, and as the Origin, where it posts.
 */
const LOCAL = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/;
const isLocal = ({ host = "", origin }: IncomingHttpHeaders): boolean =>
  LOCAL.test(host) && (origin === undefined || LOCAL.test(origin.replace(/^https?:\/\//, "")));

/** What node:http takes for it, too. */
const CONTINUE = /(?:^|\W)100-continue(?:$|\W)/i;

interface Known {
  /** Read again when the file of keys changed, and then it is another one. */
  readonly ring: KeyRing;
  readonly authorization: string | undefined;
  readonly access: Result<Access, Fault>;
}

const REQUEST_ID = "Millrace-Request-Id";

export class Gateway {
  readonly #options: GatewayOptions;
  readonly #known = new WeakMap<Socket, Known>();

  constructor(options: GatewayOptions) {
    this.#options = options;
  }

  handle(request: Request, reply: Reply): void {
    const arrivedUs = this.#options.nowUs();
    const unfit = headFault(request);
    if (unfit !== undefined) {
      // Where its next request begins is not believed of a client that leaves out the Host.
      reply.isLast ||= request.headers.host === undefined;
      this.#refuse(reply, unfit, arrivedUs);
      return;
    }
    if (isJobTarget(request.url ?? "")) {
      void this.#serveJobs(request, reply, arrivedUs);
      return;
    }
    const route = matchRoute(request.url ?? "");
    if (!route.ok) {
      this.#refuse(reply, route.error, arrivedUs);
      return;
    }
    const method = methodOf(route.value);
    if (request.method !== method) {
      const reason = fault("METHOD_NOT_ALLOWED", `this route takes ${method}`);
      this.#refuse(reply, reason, arrivedUs, ["Allow", method]);
      return;
    }
    if (route.value.kind === "live" || route.value.kind === "ready") {
      this.#answerHealth(reply, route.value.kind);
      return;
    }
    const access = this.#authenticate(request);
    if (!access.ok) this.#refuse(reply, access.error, arrivedUs);
    else this.#serve(request, reply, access.value, route.value, arrivedUs);
  }

  async #serveJobs(request: Request, reply: Reply, arrivedUs: number): Promise<void> {
    const access = this.#authenticate(request);
    const done = access.ok ? await this.#options.jobs.handle(request, reply, access.value) : access;
    if (!done.ok) this.#refuse(reply, done.error, arrivedUs, allowOf(done.error));
    if (!request.complete) discard(request);
  }

  #authenticate(request: Request): Result<Access, Fault> {
    const { keys } = this.#options;
    const access = this.#knownOn(request);
    if (!access.ok || !keys.isAnonymous || isLocal(request.headers)) return access;
    const message = "without an API key the Host and the Origin have to be loopback addresses";
    return fail(fault("FORBIDDEN", message));
  }

  /**
   * A connection that repeats the key it was let in with is not asked again: hashing is the largest
   * single cost of a small request. Comparing with its own earlier key tells a client nothing.
   */
  #knownOn({ socket, headers }: Request): Result<Access, Fault> {
    const { ring } = this.#options.keys;
    const { authorization } = headers;
    const known = this.#known.get(socket);
    if (known !== undefined && known.ring === ring && known.authorization === authorization) {
      return known.access;
    }
    const access = ring.authenticate(authorization);
    if (access.ok) this.#known.set(socket, { ring, authorization, access });
    return access;
  }

  #serve(request: Request, reply: Reply, access: Access, route: Route, arrivedUs: number): void {
    const { version } = this.#options;
    switch (route.kind) {
      case "server":
        replyDocument(reply, serverMetadata(version));
        return;
      case "index":
        replyDocument(reply, repositoryIndex(this.#index(access)));
        return;
      case "model":
        if (!mayUse(access, route.name)) {
          const message = `the API key does not permit ${route.name}`;
          this.#refuse(reply, fault("FORBIDDEN", message), arrivedUs);
        } else if (route.action === "infer") {
          this.#infer(request, reply, access, route, arrivedUs);
        } else {
          this.#describe(reply, route, arrivedUs);
        }
        return;
      case "live":
      case "ready":
        return;
      default:
        unreachable(route);
    }
  }

  #answerHealth(reply: Reply, kind: "live" | "ready"): void {
    if (kind === "live") replyDocument(reply, { live: true });
    else if (this.#options.isReady()) replyDocument(reply, { ready: true });
    else replyFault(reply, fault("NO_SCHEDULER", "the cluster cannot serve requests now"));
  }

  #describe(reply: Reply, { action, name, version }: ModelRoute, arrivedUs: number): void {
    const { catalogue } = this.#options;
    const model = catalogue.describe(name, version);
    const record = catalogue.record(name);
    if (!model.ok || !record.ok) {
      const reason = model.ok ? record : model;
      if (!reason.ok) this.#refuse(reply, reason.error, arrivedUs);
      return;
    }
    const { spec, ref, statistics } = model.value;
    if (action === "metadata") replyDocument(reply, modelMetadata(record.value, spec));
    else if (action === "config") replyDocument(reply, modelConfig(spec));
    else if (action === "stats") {
      replyDocument(reply, modelStats([statistics.figures(model.value)]));
    } else if (record.value.loaded && this.#isServed(ref)) {
      replyDocument(reply, { name, ready: true });
    } else {
      replyFault(reply, fault("NOT_LOADED", `no worker holds ${ref} ready`));
    }
  }

  /** Whether a request is served: now, or when its model is back on a device. */
  #isServed(ref: string): boolean {
    const { catalogue, isModelReady, isReady } = this.#options;
    return isModelReady(ref) || (catalogue.isStandby(ref) && isReady());
  }

  #index(access: Access): readonly IndexEntry[] {
    const { catalogue } = this.#options;
    return catalogue
      .records()
      .filter(({ name }) => mayUse(access, name))
      .flatMap(({ name, loaded, versions }) =>
        Object.values(versions).map(({ version }) => {
          const ready = loaded && this.#isServed(modelRef(name, version));
          const reason = ready ? "" : loaded ? "not in any device's memory" : "unloaded";
          return { name, version, ready, reason };
        }),
      );
  }

  /** Everything that the head can decide comes before the body is read. */
  #infer(
    request: Request,
    reply: Reply,
    access: Access,
    { name, version }: ModelRoute,
    arrivedUs: number,
  ): void {
    const { catalogue, bodies, inference } = this.#options;
    const { headers } = request;
    const model = catalogue.serve(name, version);
    const header = readHeaderLength(headers["inference-header-content-length"]?.toString());
    const reason = !model.ok ? model.error : !header.ok ? header.error : bodies.refusal(request);
    if (!model.ok || !header.ok || reason !== undefined) {
      if (reason !== undefined) this.#refuse(reply, reason, arrivedUs, [], valueOf(model));
      return;
    }
    if (headers.expect !== undefined) reply.writeContinue();
    bodies.read(request, (body) => {
      const refusal = body.ok
        ? inference.open({
            access,
            model: model.value,
            body: body.value,
            headerBytes: header.value,
            traceparent: headers["traceparent"]?.toString(),
            reply,
            arrivedUs,
          })
        : body.error;
      if (refusal !== undefined) this.#refuse(reply, refusal, arrivedUs, [], model.value);
    });
  }

  /** Notes what is refused before there is a request; @returns the header that names it. */
  unfit({ code, message }: Fault): readonly [name: string, value: string] {
    const { inference, metrics, log } = this.#options;
    const request = inference.nextId();
    metrics.refused(code);
    log.warn({ request, code, reason: message }, "refused");
    return [REQUEST_ID, request];
  }

  /** The answer to what never became an open request. */
  #refuse(
    reply: Reply,
    reason: Fault,
    arrivedUs: number,
    headers: readonly string[] = [],
    model?: ServedModel,
  ): void {
    const { inference, metrics, log, nowUs } = this.#options;
    const totalUs = nowUs() - arrivedUs;
    const request = inference.nextId();
    replyFault(reply, reason, [REQUEST_ID, request, ...headers]);
    metrics.failed(model, reason.code, totalUs);
    metrics.refused(reason.code);
    model?.statistics.failed(totalUs, nowUs());
    const { code, message } = reason;
    const ids = { request, trace: traceOf(reply.req), model: model?.ref };
    log.warn({ ...ids, code, reason: message, totalUs }, "refused");
  }
}

/** What HTTP/1.1 asks of every head; HTTP/1.0 knows neither header. */
function headFault({ headers, httpVersionMinor }: Request): Fault | undefined {
  const { host, expect } = headers;
  if (httpVersionMinor === 0) return undefined;
  if (host === undefined) return fault("INVALID_REQUEST", "HTTP/1.1 asks for a Host header");
  if (expect === undefined || CONTINUE.test(expect)) return undefined;
  const found = JSON.stringify(expect.slice(0, 40));
  return fault("EXPECTATION_FAILED", `the only expectation met is 100-continue, not ${found}`);
}

/** In hexadecimal digits: that of the client, else a new one. */
const traceOf = ({ headers }: Request): string =>
  Buffer.from(traceFor(headers["traceparent"]?.toString())).toString("hex");

const valueOf = <T>(result: Result<T, unknown>): T | undefined =>
  result.ok ? result.value : undefined;
