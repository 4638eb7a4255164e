/** The load against an ingress whose every whim is known, and what the ledger makes of it. */

import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  Corpus,
  Generator,
  type JobEntry,
  type LedgerEntry,
  type LoadSettings,
  type RequestEntry,
} from "../src/index.ts";
import { FakeIngress, reply, view } from "./fake-ingress.ts";

let ingress: FakeIngress;

beforeEach(async () => {
  ingress = await FakeIngress.start();
});

afterEach(() => ingress[Symbol.asyncDispose]());

interface Ran {
  readonly requests: readonly RequestEntry[];
  readonly jobs: readonly JobEntry[];
}

/** Runs the load; `begin` is called between the references and the first request. */
async function run(change: Partial<LoadSettings> = {}, begin?: () => void): Promise<Ran> {
  const settings: LoadSettings = {
    urls: [ingress.url],
    keys: ["key-a", "key-b"],
    seed: 5,
    requestsPerSecond: 200,
    durationUs: 500_000,
    warmUpUs: 0,
    mix: [{ model: "echo", share: 1, priority: "realtime", deadlineUs: 1_000_000 }],
    poison: 0,
    jobs: undefined,
    ledgerFile: "",
    ...change,
  };
  const corpus = await Corpus.gather(ingress.url, settings.keys, ["echo"], settings.seed);
  ingress.asked.length = 0;
  begin?.();
  const entries: LedgerEntry[] = [];
  using generator = new Generator(settings, corpus, (entry) => entries.push(entry));
  await generator.run();
  return {
    requests: entries.filter((entry) => entry.type === "request"),
    jobs: entries.filter((entry) => entry.type === "job"),
  };
}

describe("the load", () => {
  test("asks at its rate, with each tenant's key, and finds every answer right", async () => {
    const { requests } = await run();
    expect(requests.length).toBeGreaterThan(60);
    expect(requests.length).toBeLessThan(150);
    expect(requests.every(({ matched, question }) => matched === question)).toBe(true);
    expect(new Set(ingress.asked.map(({ authorization }) => authorization))).toEqual(
      new Set(["Bearer key-a", "Bearer key-b"]),
    );
  });

  test("is due at the same times with the same seed", async () => {
    const [one, other] = [await run(), await run()];
    const due = ({ requests }: Ran) =>
      requests.map(({ intendedUs }) => intendedUs).toSorted((a, b) => a - b);
    expect(due(one)).toEqual(due(other));
  });

  test("does not wait for a stall: all that was due meanwhile waited as long", async () => {
    const { requests } = await run({}, () => {
      const stalledUntilMs = performance.now() + 400;
      ingress.whim = async () => {
        await sleep(Math.max(0, stalledUntilMs - performance.now()));
        return false;
      };
    });
    const early = requests.filter(({ intendedUs }) => intendedUs < 200_000);
    expect(early.length).toBeGreaterThan(20);
    for (const { intendedUs, endedUs } of early)
      expect(endedUs - intendedUs).toBeGreaterThan(150_000);
  });

  test("sees answers that were mixed up, and values that are nobody's", async () => {
    let number = 0;
    const { requests } = await run({}, () => {
      ingress.whim = (asked, response) => {
        number++;
        if (number === 3) reply(response, 200, { id: "another", outputs: [{ data: [1, 2] }] });
        else if (number === 5) reply(response, 200, { id: asked.id, outputs: [{ data: [1, 2] }] });
        else return false;
        return true;
      };
    });
    const wrong = requests.filter(({ matched, question }) => matched !== question);
    expect(wrong.map(({ matched }) => matched).toSorted()).toEqual(["", "of another"]);
  });

  test("sends again what has no status, under its id and inside its deadline", async () => {
    const broken = new Set<string>();
    const { requests } = await run({}, () => {
      ingress.whim = (asked, response) => {
        if (broken.size >= 5 || broken.has(asked.id)) return false;
        broken.add(asked.id);
        response.destroy();
        return true;
      };
    });
    const again = requests.filter(({ attempts }) => attempts > 1);
    expect(new Set(again.map(({ id }) => id))).toEqual(broken);
    expect(
      again.every(({ ending, matched, question }) => ending === "answered" && matched === question),
    ).toBe(true);
    const [first, second] = ingress.asked.filter(({ id }) => id === again[0]?.id);
    expect(second?.timeoutUs).toBeLessThan(first?.timeoutUs ?? 0);
  });

  test("takes any status for an answer, and sends nothing again", async () => {
    const { requests } = await run({ durationUs: 200_000 }, () => {
      ingress.whim = (_asked, response) => {
        reply(response, 503, { error: "busy", code: "OVERLOADED" });
        return true;
      };
    });
    expect(ingress.asked).toHaveLength(requests.length);
    expect(
      requests.every(
        ({ status, code, attempts }) => status === 503 && code === "OVERLOADED" && attempts === 1,
      ),
    ).toBe(true);
  });

  test("tells an ingress that takes nobody from one that breaks off", async () => {
    const mix = [{ model: "echo", share: 1, priority: "realtime", deadlineUs: 100_000 }] as const;
    const gone = await run({ mix, durationUs: 100_000, urls: ["http://127.0.0.1:1"] });
    expect(new Set(gone.requests.map(({ ending }) => ending))).toEqual(new Set(["unreached"]));
    const broken = await run({ mix, durationUs: 100_000 }, () => {
      ingress.whim = (_asked, response) => {
        response.destroy();
        return true;
      };
    });
    expect(new Set(broken.requests.map(({ ending }) => ending))).toEqual(new Set(["unknown"]));
  });

  test("goes on to another ingress where one answers nobody and is not ready", async () => {
    await using other = await FakeIngress.start();
    const urls = [ingress.url, other.url];
    const { requests } = await run({ urls, durationUs: 1_500_000 }, () => {
      ingress.whim = () => true;
      ingress.isReady = false;
    });
    expect(requests.every(({ ending }) => ending === "answered")).toBe(true);
    expect(requests.some(({ attempts }) => attempts === 2)).toBe(true);
    // Once it was found out, the first attempt went to the other one.
    expect(requests.at(-1)?.attempts).toBe(1);
  });

  test("makes poison inputs that a sound ingress refuses", async () => {
    const { requests } = await run({ poison: 0.5 });
    const poison = requests.filter((request) => request.poison);
    expect(poison.length).toBeGreaterThan(20);
    expect(new Set(poison.map(({ status }) => status))).toEqual(new Set([400]));
  });

  test("cannot judge a model that answers different inputs alike", async () => {
    ingress.whim = (asked, response) => {
      reply(response, 200, { id: asked.id, outputs: [{ data: [1, 2] }] });
      return true;
    };
    await expect(run()).rejects.toThrow(/answers different inputs alike/);
  });
});

describe("a job", () => {
  const jobs = { model: "echo", count: 3, items: 2, endWithinUs: 1_500_000 };

  test("is followed to its end and its results are compared", async () => {
    const { jobs: ended } = await run({ jobs });
    expect(ended).toHaveLength(3);
    for (const { ids, results, endedUs, status } of ended) {
      expect([ids.length, results.length, status]).toEqual([1, 2, 202]);
      expect(results.every(({ matched, question }) => matched === question)).toBe(true);
      expect(endedUs).toBeGreaterThan(0);
    }
  });

  test("is submitted again under its key until its status is final", async () => {
    let refusals = 0;
    ingress.jobWhim = (what, response) => {
      if (what !== "POST /v2/jobs" || refusals >= 2) return false;
      refusals++;
      reply(response, 503, { error: "no", code: "DISCONNECTED" });
      return true;
    };
    const {
      jobs: [ended],
    } = await run({ jobs: { ...jobs, count: 1 } });
    expect(ended?.ids).toEqual([`job-${ended?.key}`]);
    expect(new Set(ingress.submissions)).toEqual(new Set([ended?.key]));
    expect(ended?.attempts).toBeGreaterThan(2);
  });

  test("that was accepted under two ids is known by both", async () => {
    let number = 0;
    ingress.jobWhim = (what, response) => {
      if (what === "POST /v2/jobs") {
        number++;
        if (number === 1) response.destroy();
        else reply(response, 202, view(`job-${number}`, "queued"));
        return true;
      }
      return false;
    };
    const {
      jobs: [ended],
    } = await run({ jobs: { ...jobs, count: 1 } });
    expect(ended?.ids).toEqual(["job-2", "job-3"]);
  });

  test("that nobody knows any more is gone, and one that never ends has no end", async () => {
    ingress.jobWhim = (what, response) => {
      if (!what.startsWith("GET")) return false;
      reply(response, 200, view("x", "running"));
      return true;
    };
    const {
      jobs: [stuck],
    } = await run({ jobs: { ...jobs, count: 1 } });
    expect([stuck?.gone, stuck?.endedUs]).toEqual([false, undefined]);
    ingress.jobWhim = (what, response) => {
      if (!what.startsWith("GET")) return false;
      reply(response, 404, { error: "no", code: "JOB_NOT_FOUND" });
      return true;
    };
    const {
      jobs: [gone],
    } = await run({ jobs: { ...jobs, count: 1, endWithinUs: 15_000_000 } });
    expect(gone?.gone).toBe(true);
  });

  test("that is refused for good was never accepted", async () => {
    ingress.jobWhim = (_what, response) => {
      reply(response, 400, { error: "no", code: "INVALID_REQUEST" });
      return true;
    };
    const {
      jobs: [refused],
    } = await run({ jobs: { ...jobs, count: 1 } });
    expect(refused).toMatchObject({ status: 400, code: "INVALID_REQUEST", attempts: 1 });
    expect(refused?.acceptedUs).toBeUndefined();
  });
});
