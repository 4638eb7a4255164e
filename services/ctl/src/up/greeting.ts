/** What a new cluster tells its user: where everything is, and a first request to copy. */

import { relative } from "node:path";
import type { Member } from "./members.ts";
import type { Nats } from "./nats.ts";

export interface Greeting {
  readonly url: string;
  readonly keyFile: string;
  /** The key was made just now. */
  readonly created: boolean;
  readonly nats: Pick<Nats, "servers" | "credentialsDirectory">;
  readonly members: readonly Member[];
  readonly directory: string;
  /** A model and a request for it. */
  readonly sample: { readonly model: string; readonly request: object } | undefined;
}

/** npm runs its scripts in the repository; the user is where npm was called. */
const userDirectory = (): string => process.env.INIT_CWD ?? process.cwd();

/** Lines for the terminal, with paths that can be copied there. */
export function greet(greeting: Greeting, from: string = userDirectory()): readonly string[] {
  const { created, directory, keyFile, members, nats, sample, url } = greeting;
  const path = (absolute: string): string => {
    const below = relative(from, absolute);
    return below.startsWith("..") ? absolute : below || ".";
  };
  const place = process.env.MILLRACE_DIRECTORY ? ` --directory ${path(directory)}` : "";
  const metrics = members.map(({ env }) => env.MILLRACE_METRICS_PORT).join(", ");
  const lines = [
    "",
    `URL       ${url}`,
    `API key   in ${path(keyFile)}${created ? ", made just now" : ""}`,
    `NATS      ${nats.servers}, its users' keys in ${path(nats.credentialsDirectory)}`,
    `Metrics   http://127.0.0.1:PORT/metrics on ports ${metrics}`,
    `Logs      in ${path(directory)}/logs`,
    `Commands  npm run -s millrace --${place} status, infer, model, job; --help says more`,
  ];
  if (sample === undefined) return lines;
  return [
    ...lines,
    "",
    `curl -s ${url}/v2/models/${sample.model}/infer \\`,
    `  -H "Authorization: Bearer $(cat ${path(keyFile)})" -H "Content-Type: application/json" \\`,
    `  -d '${JSON.stringify(sample.request)}'`,
    "",
  ];
}
