/** Faults of processes: signals to those that a supervisor of ours has started. */

import { readGround } from "../ground.ts";
import type { ProcessMark } from "../processes.ts";
import { signalProcess } from "../processes.ts";
import { type Injection, type InjectionContext, numberOf } from "./injection.ts";

/** Faster than a supervisor's first restart: a member that is kept down hardly starts. */
const KEEP_DOWN_MS = 50;

const marksOf = ({ targets }: InjectionContext): readonly ProcessMark[] =>
  targets.flatMap(({ process }) => (process === undefined ? [] : [process]));

function signalAll(marks: readonly ProcessMark[], signal: NodeJS.Signals): void {
  for (const mark of marks) signalProcess(mark, signal);
}

export function kill(context: InjectionContext, keepDown: boolean): Injection {
  const marks = marksOf(context);
  const again = (): void => {
    const ids = new Set(context.targets.map(({ id }) => id));
    const { members } = readGround(context.groundFile);
    for (const { id, process } of members) {
      if (ids.has(id) && process !== undefined) signalProcess(process, "SIGKILL");
    }
  };
  return {
    undo: [],
    begin: async () => signalAll(marks, "SIGKILL"),
    ...(keepDown ? { repeat: { everyMs: KEEP_DOWN_MS, act: again } } : {}),
  };
}

export function restart(context: InjectionContext): Injection {
  const marks = marksOf(context);
  return { undo: [], begin: async () => signalAll(marks, "SIGTERM") };
}

const letGo = (marks: readonly ProcessMark[]) =>
  marks.map((mark) => ({ type: "signal", mark, signal: "SIGCONT" }) as const);

export function pause(context: InjectionContext): Injection {
  const marks = marksOf(context);
  return {
    undo: letGo(marks),
    begin: async () => signalAll(marks, "SIGSTOP"),
    watched: marks,
  };
}

export function slowCpu(context: InjectionContext): Injection {
  const marks = marksOf(context);
  const { spec } = context;
  return {
    undo: letGo(marks),
    begin: () => Promise.resolve(),
    throttle: { marks, share: numberOf(spec, "share"), periodUs: numberOf(spec, "periodUs") },
    watched: marks,
  };
}
