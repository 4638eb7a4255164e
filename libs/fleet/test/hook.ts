/** A hook as a user would write it: its fleet is a JSON file, whose members are ready at once. */

import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import type { FleetMember, HookRequest, Pool } from "../src/index.ts";
import { POOLS } from "./pools.ts";

interface State {
  members: FleetMember[];
  expected: Record<string, number>;
  next: number;
}

const [, , file = ""] = process.argv;
const beside = (name: string): string => file.replace("fleet.json", name);
const keyOf = ({ kind, zone, lifecycle }: Pool): string => `${kind}/${zone}/${lifecycle}`;

function answer(request: HookRequest, state: State): object {
  switch (request.operation) {
    case "list": {
      const pools = POOLS.map((pool) => ({ ...pool, expected: state.expected[keyOf(pool)] ?? 0 }));
      return { v: 1, members: state.members, pools };
    }
    case "scale": {
      const { pool, count, retire } = request;
      state.expected[keyOf(pool)] = count;
      const own = state.members.filter((member) => keyOf(member) === keyOf(pool));
      const kept = own
        .toSorted((a, b) => Number(retire.includes(a.id)) - Number(retire.includes(b.id)))
        .slice(0, count);
      while (kept.length < count) {
        kept.push({ ...pool, id: `member-${state.next++}`, state: "ready" });
      }
      state.members = state.members.filter((member) => keyOf(member) !== keyOf(pool)).concat(kept);
      return { v: 1, ok: true };
    }
    case "replace":
      state.members = state.members.map((member) =>
        member.id === request.id ? { ...member, id: `member-${state.next++}` } : member,
      );
      return { v: 1, ok: true };
  }
}

const request = JSON.parse(await text(process.stdin)) as HookRequest;
if (existsSync(beside("cut"))) {
  console.error("the machine room is not reached");
  process.exit(1);
}
const state: State = existsSync(file)
  ? (JSON.parse(readFileSync(file, "utf8")) as State)
  : { members: [], expected: {}, next: 1 };
if (existsSync(beside("lost"))) {
  const lost = readFileSync(beside("lost"), "utf8");
  state.members = state.members.filter(({ id }) => id !== lost);
  rmSync(beside("lost"));
}
console.log(JSON.stringify(answer(request, state)));
writeFileSync(file, JSON.stringify(state));
