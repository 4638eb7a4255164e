/** A role's key that the broker no longer knows: its connections end, new ones are refused. */

import { createUser } from "@nats-io/nkeys";
import { FaultError } from "@millrace/protocol";
import type { Injection, InjectionContext } from "./injection.ts";
import { changeConfig } from "./storage.ts";

/** The member's role is its user; a key that nobody holds stands in its place meanwhile. */
export function revokeCredentials(context: InjectionContext): Injection {
  const brokers = context.ground.members.filter(({ role }) => role === "nats");
  if (brokers.length === 0) {
    throw new FaultError("FAULT_UNAVAILABLE", "the broker is not ours: its users stay as they are");
  }
  const users = new Set(context.targets.map(({ role }) => role));
  const parts = brokers.map((broker) =>
    changeConfig(context, broker, (text) => replaceKeys(text, users)),
  );
  return {
    undo: parts.flatMap(({ undo }) => undo),
    begin: async () => {
      for (const { begin } of parts) await begin();
    },
  };
}

/** Users stand in the configuration as `{ # name` and a line with `nkey: KEY` after it. */
export function replaceKeys(config: string, users: ReadonlySet<string>): string {
  return config.replace(
    /(\{ # ([a-z0-9-]+)\s+nkey: )(U[A-Z2-7]+)/g,
    (whole: string, head: string, user: string) =>
      users.has(user) ? `${head}${createUser().getPublicKey()}` : whole,
  );
}
