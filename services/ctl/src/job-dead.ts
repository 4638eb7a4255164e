/** `millrace job dead`: chunks of jobs that were given up, and their replay. */

import { decodeChunk, reopenChunk } from "@millrace/jobs";
import { subjects } from "@millrace/protocol";
import { formatTable, isName, NAME_RULE, ok } from "@millrace/std";
import { type DeadLetter, type JobStore, openJobStore } from "@millrace/store";
import { openCluster } from "./connect.ts";
import { usageError, valueOf } from "./failure.ts";

export async function runDead(
  id: string | undefined,
  { replay }: { readonly replay?: true },
): Promise<void> {
  if (id !== undefined && !isName(id)) {
    throw usageError(`${JSON.stringify(id)} is no job's id`, `it is ${NAME_RULE}`);
  }
  await using cluster = await openCluster();
  const store = await openJobStore(cluster.bus.connection);
  const letters = valueOf(await store.dead.list("*", id ?? "*"));
  if (letters.length === 0) {
    console.log(id === undefined ? "no dead letters" : `no dead letters of job ${id}`);
    return;
  }
  if (replay !== true) {
    console.log(render(letters));
    return;
  }
  for (const letter of letters) {
    const { tenant, job, token } = letter;
    console.log(`${tenant}  ${job}  ${token}  ${await replayLetter(store, letter)}`);
  }
}

const render = (letters: readonly DeadLetter[]): string =>
  formatTable([
    ["TENANT", "JOB", "CHUNK", "ITEMS", "GIVEN UP", "REASON"],
    ...letters.map(({ tenant, job, token, at, code, reason, chunk }) => {
      const decoded = decodeChunk(chunk);
      const items = decoded.ok ? decoded.value.items.length : 0;
      return [tenant, job, token, items, at, `${code}: ${reason}`];
    }),
  ]);

/**
 * In steps that may each be repeated: the letter goes last, so whatever ends this is put right by
 * running it again.
 */
export async function replayLetter(
  store: Pick<JobStore, "records" | "results" | "queue" | "dead">,
  letter: DeadLetter,
): Promise<string> {
  const { tenant, job, token, seq } = letter;
  const chunk = valueOf(decodeChunk(letter.chunk));
  const { generation, chunk: number, items, model } = chunk.head;
  const standing = valueOf(await store.results.find(letter));
  if (standing !== undefined && !standing.dead) {
    valueOf(await store.dead.remove(letter));
    return "somebody else has done it; the letter is removed";
  }
  const failed = standing?.failed ?? items;
  const end = { generation, chunk: number, items, failed, dead: true };
  const record = valueOf(
    await store.records.update(tenant, job, (before) =>
      ok(before === undefined ? undefined : reopenChunk(before, end)),
    ),
  );
  if (record === undefined) return "its job is no longer kept; the letter stays until it expires";
  if (record.state === "cancelled") return "its job was cancelled; the letter stays";
  valueOf(await store.dead.clearResult(letter));
  const once = `${tenant}:${job}:${token}:replay-${seq}`;
  valueOf(await store.queue.add(subjects.job(tenant, model), once, letter.chunk));
  valueOf(await store.dead.remove(letter));
  return `${items} items are in the queue again`;
}
