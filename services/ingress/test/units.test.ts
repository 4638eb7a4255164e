/** The pieces that decide by themselves: routes, traces, versions, figures. */

import { describe, expect, test } from "vitest";
import type { Answer, ModelRecord, ModelSpec } from "@millrace/protocol";
import { Catalogue } from "../src/catalogue.ts";
import { RequestIds } from "../src/request-ids.ts";
import { matchRoute, methodOf } from "../src/routes.ts";
import { ModelStatistics } from "../src/statistics.ts";
import { traceFor } from "../src/trace.ts";
import { echo } from "./stand.ts";

describe("routes", () => {
  test.each([
    ["/v2", { kind: "server" }, "GET"],
    ["/v2?x=1", { kind: "server" }, "GET"],
    ["/v2/health/live", { kind: "live" }, "GET"],
    ["/v2/repository/index", { kind: "index" }, "POST"],
    ["/v2/models/a", { kind: "model", action: "metadata", name: "a", version: undefined }, "GET"],
    [
      "/v2/models/a/infer",
      { kind: "model", action: "infer", name: "a", version: undefined },
      "POST",
    ],
    [
      "/v2/models/a/versions/12",
      { kind: "model", action: "metadata", name: "a", version: 12 },
      "GET",
    ],
    [
      "/v2/models/a/versions/2/infer?y",
      { kind: "model", action: "infer", name: "a", version: 2 },
      "POST",
    ],
    [
      "/v2/models/%61-b/stats",
      { kind: "model", action: "stats", name: "a-b", version: undefined },
      "GET",
    ],
    [
      "/v2/models/versions/ready",
      { kind: "model", action: "ready", name: "versions", version: undefined },
      "GET",
    ],
  ] as const)("%s", (target, expected, method) => {
    const route = matchRoute(target);
    expect(route).toEqual({ ok: true, value: expected });
    expect(route.ok && methodOf(route.value)).toBe(method);
  });
});

describe("traces", () => {
  const trace = (header?: string): string => Buffer.from(traceFor(header)).toString("hex");
  const id = "0af7651916cd43dd8448eb211c80319c";

  test("are the client's when its header is valid", () => {
    expect(trace(`00-${id}-b7ad6b7169203331-00`)).toBe(id);
    expect(trace(`cc-${id}-b7ad6b7169203331-01-what-the-future-brings`)).toBe(id);
  });

  test.each([
    undefined,
    "",
    `ff-${id}-b7ad6b7169203331-01`,
    `00-${id}-b7ad6b7169203331-01-more`,
    `00-${id}-b7ad6b7169203331`,
    `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
    `00-${id}-0000000000000000-01`,
    `00-${id.toUpperCase()}-b7ad6b7169203331-01`,
  ])("are new for %s", (header) => {
    const own = trace(header);
    expect(own).not.toBe(id);
    expect(own).not.toBe("0".repeat(32));
  });

  test("never repeat", () => {
    expect(new Set(Array.from({ length: 1000 }, () => trace())).size).toBe(1000);
  });
});

describe("which version answers", () => {
  const spec = (version: number, change: Partial<ModelSpec> = {}): ModelSpec => ({
    ...echo,
    version,
    ...change,
  });
  const record = (
    active: number,
    versions: readonly ModelSpec[],
    previous?: number,
  ): ModelRecord => ({
    name: "echo",
    active,
    loaded: true,
    ...(previous === undefined ? {} : { previous }),
    versions: Object.fromEntries(versions.map((one) => [one.version, one])),
  });
  function rig() {
    const ready = new Set<string>();
    const catalogue = new Catalogue((ref) => ready.has(ref));
    const serving = (): string => {
      const model = catalogue.serve("echo", undefined);
      return model.ok ? model.value.ref : model.error.code;
    };
    return { ready, catalogue, serving };
  }

  test("what is not read yet is not missing", () => {
    const { catalogue, serving } = rig();
    expect(serving()).toBe("DISCONNECTED");
    catalogue.complete();
    expect(serving()).toBe("MODEL_NOT_FOUND");
  });

  test("a first version answers before it is loaded", () => {
    const { catalogue, serving } = rig();
    catalogue.changed(record(1, [spec(1)]));
    expect(serving()).toBe("echo@1");
  });

  test("what was ready and is on no device is on standby, until it fails or is unloaded", () => {
    const { catalogue, ready } = rig();
    const standby = (): boolean => catalogue.isStandby("echo@1");
    const held = { ref: "echo@1", state: "ready" } as const;
    catalogue.heard([held]);
    catalogue.changed(record(1, [spec(1)]));
    expect(standby()).toBe(false);
    catalogue.heard([{ ref: "echo@1", state: "loading" }]);
    expect(standby()).toBe(false);
    ready.add("echo@1");
    catalogue.heard([held]);
    expect(standby()).toBe(false);
    ready.clear();
    expect(standby()).toBe(true);
    catalogue.heard([{ ref: "echo@1", state: "failed" }]);
    expect(standby()).toBe(false);
    catalogue.heard([held]);
    catalogue.changed({ ...record(1, [spec(1)]), loaded: false });
    catalogue.changed(record(1, [spec(1)]));
    expect(standby()).toBe(false);
    catalogue.heard([held]);
    catalogue.removed("echo");
    expect(standby()).toBe(false);
  });

  test("a new one takes over when it is ready, and not back when it is not for a while", () => {
    const { catalogue, serving, ready } = rig();
    catalogue.changed(record(1, [spec(1)]));
    expect(serving()).toBe("echo@1");
    catalogue.changed(record(2, [spec(1), spec(2)], 1));
    ready.add("echo@1");
    expect(serving()).toBe("echo@1");
    ready.add("echo@2");
    expect(serving()).toBe("echo@2");
    ready.delete("echo@2");
    expect(serving()).toBe("echo@2");
  });

  test("two updates in a row leave the one that served until the last is ready", () => {
    const { catalogue, serving, ready } = rig();
    catalogue.changed(record(1, [spec(1)]));
    serving();
    catalogue.changed(record(2, [spec(1), spec(2)], 1));
    catalogue.changed(record(3, [spec(1), spec(2), spec(3)], 2));
    expect(serving()).toBe("echo@1");
    ready.add("echo@3");
    expect(serving()).toBe("echo@3");
  });

  test("one that is removed gives way at once", () => {
    const { catalogue, serving } = rig();
    catalogue.changed(record(1, [spec(1)]));
    serving();
    catalogue.changed(record(2, [spec(2)], 1));
    expect(serving()).toBe("echo@2");
  });

  test("after a restart of the ingress the one that is ready answers", () => {
    const { catalogue, serving, ready } = rig();
    ready.add("echo@1");
    catalogue.changed(record(2, [spec(1), spec(2)], 1));
    expect(serving()).toBe("echo@1");
    ready.add("echo@2");
    expect(serving()).toBe("echo@2");
  });

  test("a rollback is an update to the version before", () => {
    const { catalogue, serving, ready } = rig();
    catalogue.changed(record(2, [spec(1), spec(2)], 1));
    ready.add("echo@2");
    expect(serving()).toBe("echo@2");
    catalogue.changed(record(1, [spec(1), spec(2)], 2));
    expect(serving()).toBe("echo@2");
    ready.add("echo@1");
    expect(serving()).toBe("echo@1");
  });

  test("a version keeps its figures as long as it stays the same model", () => {
    const { catalogue } = rig();
    const figures = () => {
      const model = catalogue.serve("echo", 1);
      return model.ok ? model.value.statistics : undefined;
    };
    catalogue.changed(record(1, [spec(1)]));
    const before = figures();
    catalogue.changed(record(1, [spec(1), spec(2)]));
    expect(figures()).toBe(before);
    catalogue.changed(record(1, [spec(1, { digest: "1".repeat(64) })]));
    expect(figures()).not.toBe(before);
  });

  test("an unloaded model is described and not served", () => {
    const { catalogue, serving } = rig();
    catalogue.changed({ ...record(1, [spec(1)]), loaded: false });
    expect(serving()).toBe("NOT_LOADED");
    expect(catalogue.describe("echo", undefined).ok).toBe(true);
    catalogue.removed("echo");
    catalogue.complete();
    expect(serving()).toBe("MODEL_NOT_FOUND");
  });
});

describe("figures", () => {
  const answer = { queueUs: 10, computeUs: 100, batchRows: 4 } as Answer;

  test("the shares of one batch add up to one execution", () => {
    const statistics = new ModelStatistics();
    statistics.served(answer, 1, 500, 0);
    statistics.served(answer, 3, 700, 0);
    const figures = statistics.figures({ spec: echo } as never);
    expect(figures).toMatchObject({
      rows: 4,
      executions: 1,
      success: { count: 2, us: 1200 },
      queue: { count: 2, us: 20 },
    });
    expect([...figures.batches]).toEqual([[4, { count: 1, us: 100 }]]);
  });

  test("the rate is that of the last whole seconds", () => {
    const statistics = new ModelStatistics();
    for (let at = 0; at < 100; at++) statistics.served(answer, 1, at, 1_000_000 + at);
    expect(statistics.recent(1_500_000).requestsPerSecond).toBe(0);
    expect(statistics.recent(2_000_000).requestsPerSecond).toBe(20);
    expect(statistics.recent(6_900_000).requestsPerSecond).toBe(20);
    expect(statistics.recent(7_000_000).requestsPerSecond).toBe(0);
    expect(statistics.recent(900_000_000)).toMatchObject({ requestsPerSecond: 0, errors: 0 });
  });

  test("quantiles are those of the last answers", () => {
    const statistics = new ModelStatistics();
    expect(statistics.recent(0)).toEqual({ requestsPerSecond: 0, errors: 0 });
    for (let at = 1; at <= 100; at++) statistics.served(answer, 1, at, 0);
    expect(statistics.recent(0)).toMatchObject({ p50Us: 50, p99Us: 99 });
    for (let at = 0; at < 512; at++) statistics.served(answer, 1, 7, 0);
    statistics.failed(1, 0);
    expect(statistics.recent(0)).toMatchObject({ p50Us: 7, p99Us: 7, errors: 1 });
  });
});

test("a request's id has its process's address and its number", () => {
  const ids = new RequestIds("ingress-1-x");
  for (const seq of [1, 999, 1_000, 1_001, 12_005, 7, 4_294_967_295]) {
    expect(ids.of(seq)).toBe(`ingress-1-x-${seq}`);
  }
});
