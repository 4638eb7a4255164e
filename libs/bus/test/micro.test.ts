/** What `nats micro` asks, and what it gets. */

import { expect, test } from "vitest";
import { serveMicro } from "../src/index.ts";
import { connectTo, startServer } from "./server.ts";

const NAME = /^[A-Za-z0-9_-]+$/;

test("PING, INFO and STATS are answered for all, for the name and for the id", async () => {
  await using server = await startServer();
  await using bus = await connectTo([server]);
  await using asking = await connectTo([server], { name: "asking" });
  let depth = 3;
  const micro = serveMicro(bus, {
    name: "scheduler",
    version: "0.1.0",
    description: "queues and batches",
    metadata: { instance: "scheduler-1" },
    endpoints: [
      {
        name: "tickets",
        subject: "mr.ticket.scheduler-1",
        stats: () => ({
          requests: 4,
          errors: 1,
          processingUs: 1002,
          lastError: "QUEUE_FULL",
          data: { depth },
        }),
      },
      {
        name: "done",
        subject: "mr.done.scheduler-1",
        stats: () => ({ requests: 0, errors: 0, processingUs: 0 }),
      },
    ],
  });
  await bus.connection.flush();
  const ask = async (subject: string): Promise<unknown> =>
    (await asking.connection.request(subject)).json();
  const identity = {
    name: "scheduler",
    id: micro.id,
    version: "0.1.0",
    metadata: { instance: "scheduler-1" },
  };
  const ping = { type: "io.nats.micro.v1.ping_response", ...identity };
  const info = {
    type: "io.nats.micro.v1.info_response",
    ...identity,
    description: "queues and batches",
    endpoints: [
      { name: "tickets", subject: "mr.ticket.scheduler-1", queue_group: "", metadata: {} },
      { name: "done", subject: "mr.done.scheduler-1", queue_group: "", metadata: {} },
    ],
  };
  const stats = {
    type: "io.nats.micro.v1.stats_response",
    ...identity,
    started: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/),
    endpoints: [
      {
        name: "tickets",
        subject: "mr.ticket.scheduler-1",
        queue_group: "",
        num_requests: 4,
        num_errors: 1,
        last_error: "QUEUE_FULL",
        processing_time: 1_002_000,
        average_processing_time: 250_500,
        data: { depth: 3 },
      },
      {
        name: "done",
        subject: "mr.done.scheduler-1",
        queue_group: "",
        num_requests: 0,
        num_errors: 0,
        last_error: "",
        processing_time: 0,
        average_processing_time: 0,
      },
    ],
  };
  for (const suffix of ["", ".scheduler", `.scheduler.${micro.id}`]) {
    expect(await ask(`$SRV.PING${suffix}`)).toEqual(ping);
    expect(await ask(`$SRV.INFO${suffix}`)).toEqual(info);
    expect(await ask(`$SRV.STATS${suffix}`)).toEqual(stats);
  }
  depth = 7;
  expect(await ask("$SRV.STATS")).toMatchObject({ endpoints: [{ data: { depth: 7 } }, {}] });
  await expect(ask("$SRV.PING.ingress")).rejects.toThrow(/no responders/);
  await micro[Symbol.asyncDispose]();
  await expect(ask("$SRV.PING")).rejects.toThrow(/no responders/);
});

test("instances of one name have ids of their own", async () => {
  await using server = await startServer();
  await using bus = await connectTo([server]);
  const options = {
    name: "a",
    version: "1.2.3-rc.1",
    description: "",
    metadata: {},
    endpoints: [],
  };
  const ids = [serveMicro(bus, options).id, serveMicro(bus, options).id];
  expect(new Set(ids).size).toBe(2);
  for (const id of ids) expect(id).toMatch(NAME);
});

test("what nats micro would not print is a bug", async () => {
  await using server = await startServer();
  await using bus = await connectTo([server]);
  const options = { name: "a", version: "1.2.3", description: "", metadata: {}, endpoints: [] };
  const stats = () => ({ requests: 0, errors: 0, processingUs: 0 });
  expect(() => serveMicro(bus, { ...options, version: "1.2" })).toThrow(/semantic version/);
  expect(() => serveMicro(bus, { ...options, name: "a.b" })).toThrow(/a\.b/);
  const endpoints = [{ name: "a b", subject: "a", stats }];
  expect(() => serveMicro(bus, { ...options, endpoints })).toThrow(/a b/);
});
