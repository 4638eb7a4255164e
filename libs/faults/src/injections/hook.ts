/** Faults inside a process: its hook is asked, which is there only where faults are enabled. */

import {
  decodeJson,
  encodeJson,
  FaultError,
  type Hook,
  type HookCommand,
  hookReplySchema,
  subjects,
  WORKER_ROLES,
} from "@millrace/protocol";
import type { Bus } from "@millrace/bus";
import type { HealAction } from "../healer/actions.ts";
import { signalProcess } from "../processes.ts";
import type { Injection, InjectionContext } from "./injection.ts";

const ASK_MS = 2_000;

/** Asks the hooks of the targets themselves. */
export function inMembers(context: InjectionContext, hook: Hook): Injection {
  const marks = context.targets.flatMap(({ process }) => (process === undefined ? [] : [process]));
  const asked = context.targets.map(({ role, id }) => ({
    subject: subjects.chaosHook(role, id),
    options: context.spec.options,
  }));
  const injection = hooks(context, hook, asked);
  // Whoever was told of its end goes by itself, and is killed when the time is over.
  if (hook !== "spot-notice") return { ...injection, watched: marks };
  const killLate = (): void => marks.forEach((mark) => signalProcess(mark, "SIGKILL"));
  return { ...injection, atEnd: killLate };
}

/** Asks the supervisor for something that it does to the targets. */
function inSupervisor(context: InjectionContext, hook: Hook): Injection {
  const subject = subjects.chaosHook("supervisor", context.ground.supervisor);
  const asked = context.targets.map(({ id }) => ({ subject, options: { member: id } }));
  return hooks(context, hook, asked);
}

/** Those that serve hooks in themselves. */
const FLOODED: readonly string[] = ["ingress", "scheduler", ...WORKER_ROLES];

/**
 * The supervisor stops reading, and the targets log more than fits: what they say by themselves
 * would fill a pipe only after hours.
 */
export function blockLogs(context: InjectionContext): Injection {
  const { bus, spec, targets } = context;
  const blocking = inSupervisor(context, "log-sink-blocked");
  const flooded = targets.filter(({ role }) => FLOODED.includes(role));
  const command = { v: 1, hook: "log-flood", durationUs: spec.durationUs, options: {} } as const;
  return {
    ...blocking,
    begin: async () => {
      await blocking.begin();
      await Promise.all(
        flooded.map(({ role, id }) => arm(bus, subjects.chaosHook(role, id), command)),
      );
    },
  };
}

interface Asked {
  readonly subject: string;
  readonly options: HookCommand["options"];
}

function hooks(context: InjectionContext, hook: Hook, asked: readonly Asked[]): Injection {
  const { access, bus, spec } = context;
  const healing = { v: 1, hook: "heal", durationUs: 0 } as const;
  return {
    undo: asked.map(({ subject, options }) =>
      askAction(access, subject, { ...healing, options: { ...options, of: hook } }),
    ),
    begin: async () => {
      const { durationUs } = spec;
      await Promise.all(
        asked.map(({ subject, options }) => arm(bus, subject, { v: 1, hook, durationUs, options })),
      );
    },
  };
}

function askAction(
  access: InjectionContext["access"],
  subject: string,
  command: HookCommand,
): HealAction {
  const payload = Buffer.from(encodeJson(command)).toString("base64");
  return { type: "ask", access, subject, payload, headers: {}, optional: true };
}

async function arm(bus: Bus, subject: string, command: HookCommand): Promise<void> {
  let bytes: Uint8Array;
  try {
    bytes = (await bus.connection.request(subject, encodeJson(command), { timeout: ASK_MS })).data;
  } catch (cause) {
    const message = `nobody answers on ${subject}: the process runs without MILLRACE_CHAOS=1`;
    throw new FaultError("FAULT_UNAVAILABLE", message, { cause });
  }
  const reply = decodeJson(hookReplySchema, bytes);
  if (!reply.ok) throw new FaultError("FAULT_FAILED", `${subject}: ${reply.error.message}`);
  if (reply.value.ok) return;
  throw new FaultError("FAULT_UNAVAILABLE", `${subject}: ${reply.value.detail}`);
}
