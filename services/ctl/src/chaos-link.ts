/** Asks the chaos-monkey of a cluster, for the commands. */

import type { Bus } from "@millrace/bus";
import {
  CHAOS_COMMAND,
  type ChaosReply,
  chaosReplySchema,
  decodeJson,
  encodeJson,
} from "@millrace/protocol";
import { connectCluster, findCluster } from "./connect.ts";
import { CommandError } from "./failure.ts";

const REPLY_MS = 10_000;
const WITH_CHAOS = "start the cluster with `millrace up --chaos`, or give --up to `chaos run`";

type Good = Extract<ChaosReply, { readonly ok: true }>;
export type Ask = (command: object) => Promise<Good>;

/** @throws CommandError with the remedy where no cluster is there, or none with faults. */
export async function withMonkey<T>(work: (ask: Ask) => Promise<T>): Promise<T> {
  await using bus = await connectCluster(findCluster(process.env));
  return await work((command) => askMonkey(bus, command));
}

async function askMonkey(bus: Bus, command: object): Promise<Good> {
  let bytes: Uint8Array;
  try {
    const options = { timeout: REPLY_MS };
    bytes = (await bus.connection.request(CHAOS_COMMAND, encodeJson(command), options)).data;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandError(`no chaos-monkey answers (${reason})`, WITH_CHAOS);
  }
  const reply = decodeJson(chaosReplySchema, bytes);
  if (!reply.ok) throw new CommandError(reply.error.message, "see the chaos-monkey's log");
  if (reply.value.ok) return reply.value;
  const { code, message } = reply.value.error;
  throw new CommandError(`${message} (${code})`, "see `millrace chaos list`");
}
