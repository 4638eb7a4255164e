/** What the simulated broker delivers, and what it loses. */

import { seededRandom } from "@millrace/std";
import { describe, expect, test } from "vitest";
import {
  type Channel,
  type Letter,
  type Member,
  Network,
  type NetworkOptions,
} from "../src/network.ts";
import { Timeline } from "../src/timeline.ts";

const CALM: NetworkOptions = {
  delayUs: 100,
  jitterUs: 1_000,
  loss: 0,
  duplication: 0,
  reordering: 0,
  lateUs: 50_000,
};

class Listener implements Member {
  readonly id: string;
  readonly hears: ReadonlySet<Channel>;
  readonly heard: number[] = [];
  readonly names: string[] = [];
  readonly connections: boolean[] = [];

  constructor(id: string, hears: readonly Channel[] = []) {
    this.id = id;
    this.hears = new Set(hears);
  }

  receive({ channel, bytes }: Letter): void {
    if (channel === "disconnect") this.names.push(new TextDecoder().decode(bytes));
    else this.heard.push(bytes[0] ?? -1);
  }

  connectionChanged(connected: boolean): void {
    this.connections.push(connected);
  }
}

function network(options: Partial<NetworkOptions> = {}, seed = 1) {
  const timeline = new Timeline();
  const made = new Network(timeline, seededRandom(seed), { ...CALM, ...options });
  const one = new Listener("one");
  const two = new Listener("two", ["disconnect", "workerBeat"]);
  made.join(one);
  made.join(two);
  const say = (value: number): boolean =>
    made.send("two", { from: "one", channel: "answer", bytes: Uint8Array.of(value) });
  return { timeline, network: made, one, two, say };
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

describe("the network", () => {
  test("keeps the order of a connection, whatever the delays", () => {
    const { timeline, two, say } = network();
    for (const value of numbers(100)) say(value);
    timeline.runUntil(1_000_000);
    expect(two.heard).toEqual(numbers(100));
  });

  test("loses, repeats and reorders as it is told, and not once it is healed", () => {
    const faulty = network({ loss: 0.2, duplication: 0.2, reordering: 0.2 });
    for (const value of numbers(100)) faulty.say(value);
    faulty.timeline.runUntil(1_000_000);
    const { heard } = faulty.two;
    expect(new Set(heard).size).toBeLessThan(100);
    expect(heard.length).toBeGreaterThan(new Set(heard).size);
    expect(heard).not.toEqual(heard.toSorted((a, b) => a - b));
    faulty.network.heal();
    heard.length = 0;
    for (const value of numbers(100)) faulty.say(value);
    faulty.timeline.runUntil(2_000_000);
    expect(heard).toEqual(numbers(100));
  });

  test("cuts a link in one direction until every cut of it is mended", () => {
    const { timeline, network: cut, one, two, say } = network();
    cut.cut("one", "two");
    cut.cut("one", "two");
    cut.mend("one", "two");
    say(1);
    cut.send("one", { from: "two", channel: "answer", bytes: Uint8Array.of(2) });
    timeline.runUntil(100_000);
    expect([one.heard, two.heard]).toEqual([[2], []]);
    cut.mend("one", "two");
    say(3);
    timeline.runUntil(200_000);
    expect(two.heard).toEqual([3]);
  });

  test("loses what is on its way to a connection that ends, and announces the end", () => {
    const { timeline, network: broken, one, two, say } = network();
    say(1);
    broken.disconnect("two", true);
    broken.disconnect("one", true);
    expect(say(2)).toBe(false);
    timeline.runUntil(1_000_000);
    expect(two.heard).toEqual([]);
    expect(one.connections).toEqual([true, false, true]);
    // Two was away when one's connection ended, and one does not listen.
    expect(two.names).toEqual([]);
    broken.leave("one", true);
    timeline.runUntil(2_000_000);
    expect(two.names).toEqual(['{"client":{"name":"one"}}']);
  });

  test("announces the end of a connection after all that came by it", () => {
    for (let round = 0; round < 20; round++) {
      const { timeline, network: broken, two, say } = network({ jitterUs: 3_000 }, round);
      for (const value of numbers(10)) say(value);
      broken.disconnect("one", true);
      while (two.names.length === 0) timeline.runUntil(timeline.nowUs + 10);
      expect(two.heard).toEqual(numbers(10));
    }
  });

  test("loses all that is on its way when the broker restarts, and announces nobody", () => {
    const { timeline, network: broken, one, two, say } = network();
    say(1);
    broken.stopBroker();
    timeline.runUntil(300_000);
    expect(broken.isConnected("one")).toBe(false);
    broken.startBroker();
    timeline.runUntil(600_000);
    say(2);
    timeline.runUntil(900_000);
    expect(two.heard).toEqual([2]);
    expect(two.names).toEqual([]);
    expect(one.connections).toEqual([true, false, true]);
  });
});
