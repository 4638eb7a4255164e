/**
 * The monitoring half of the NATS micro protocol (ADR-32), so that `nats micro ls|info|stats` sees
 * every service. The figures are the service's own: what a general library can time is the
 * synchronous part of a callback, which says nothing here.
 */

import { encodeJson } from "@millrace/protocol";
import { assert } from "@millrace/std";
import { nuid } from "@nats-io/transport-node";
import type { Bus } from "./bus.ts";
import { crash } from "./crash.ts";

export interface MicroStats {
  readonly requests: number;
  readonly errors: number;
  /** Total over all requests. */
  readonly processingUs: number;
  readonly lastError?: string | undefined;
  /** Queue depth, batch sizes, device memory, models: anything of JSON. */
  readonly data?: Readonly<Record<string, unknown>> | undefined;
}

export interface MicroEndpoint {
  /** Letters, digits, `-` and `_`. */
  readonly name: string;
  readonly subject: string;
  /** Asked at every STATS request. */
  readonly stats: () => MicroStats;
}

export interface MicroOptions {
  /** Letters, digits, `-` and `_`: the role; instances share it. */
  readonly name: string;
  /** Semantic version. */
  readonly version: string;
  readonly description: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly endpoints: readonly MicroEndpoint[];
}

export interface Micro extends AsyncDisposable {
  /** Drawn here: unique among all instances of all services. */
  readonly id: string;
}

/** What `nats micro` refuses to print otherwise. */
const NAME = /^[A-Za-z0-9_-]+$/;
const VERSION = /^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$/;
/** Members are addressed by their own subjects: no endpoint is in a queue group. */
const QUEUE_GROUP = "";

/** Answers PING, INFO and STATS to all, to this name and to this id, until disposed. */
export function serveMicro(bus: Bus, options: MicroOptions): Micro {
  const { name, version, description, metadata, endpoints } = options;
  assert(VERSION.test(version), `a semantic version, not ${version}`);
  for (const named of [options, ...endpoints]) assert(NAME.test(named.name), `micro ${named.name}`);
  const id = nuid.next();
  const started = new Date().toISOString();
  const reply = (verb: string, rest: object): object => ({
    type: `io.nats.micro.v1.${verb.toLowerCase()}_response`,
    name,
    id,
    version,
    metadata,
    ...rest,
  });
  const verbs: Record<string, () => object> = {
    PING: () => ({}),
    INFO: () => ({ description, endpoints: endpoints.map(endpointInfo) }),
    STATS: () => ({ started, endpoints: endpoints.map(endpointStats) }),
  };
  const subscriptions = Object.entries(verbs).flatMap(([verb, rest]) =>
    [`$SRV.${verb}`, `$SRV.${verb}.${name}`, `$SRV.${verb}.${name}.${id}`].map((subject) =>
      bus.connection.subscribe(subject, {
        callback: (error, message) => {
          if (error !== null || !bus.connected) return;
          try {
            message.respond(encodeJson(reply(verb, rest())));
          } catch (bug) {
            crash(bug);
          }
        },
      }),
    ),
  );
  return {
    id,
    [Symbol.asyncDispose]: async () => {
      await Promise.allSettled(subscriptions.map((subscription) => subscription.drain()));
    },
  };
}

const endpointInfo = ({ name, subject }: MicroEndpoint): object => ({
  name,
  subject,
  queue_group: QUEUE_GROUP,
  metadata: {},
});

function endpointStats({ name, subject, stats }: MicroEndpoint): object {
  const { requests, errors, processingUs, lastError, data } = stats();
  const processingNs = Math.round(processingUs * 1000);
  return {
    name,
    subject,
    queue_group: QUEUE_GROUP,
    num_requests: requests,
    num_errors: errors,
    last_error: lastError ?? "",
    processing_time: processingNs,
    average_processing_time: requests === 0 ? 0 : Math.round(processingNs / requests),
    data,
  };
}
