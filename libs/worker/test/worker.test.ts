/** A worker alone on a real broker and the real onnxruntime, through the frames of the protocol. */

import { decodeTensors, PRIORITIES, type Tier } from "@millrace/protocol";
import { present, seededRandom } from "@millrace/std";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addModel, floats, integer, pickModel } from "./models.ts";
import { item, Stand, until } from "./stand.ts";

let stand: Stand;

beforeAll(async () => {
  stand = await Stand.start();
});

afterAll(async () => {
  await stand[Symbol.asyncDispose]();
});

/** The first output as numbers. */
function numbers(body: Uint8Array): Float32Array {
  const tensors = decodeTensors(body);
  if (!tensors.ok) throw new Error(tensors.error.message);
  const { bytes } = present(tensors.value[0], "an output");
  return new Float32Array(Uint8Array.from(bytes).buffer);
}

const row = (...values: number[]): Uint8Array => floats(Float32Array.from(values));

describe("a worker", () => {
  test("says what it is, and what it loaded and warmed", async () => {
    await stand.load(addModel("hello", 4, 8));
    const beat = present(stand.beats.at(-1), "a heartbeat");
    expect(beat).toMatchObject({ id: "gpu-worker-1", role: "gpu-worker", state: "ready" });
    expect(beat.device).toMatchObject({ class: "emulated", memoryTotalBytes: 256 * 1024 * 1024 });
    const listed = stand.beats.findLast(({ models }) => models !== undefined)?.models?.[0];
    expect(listed?.warmUs?.map(([rows]) => rows)).toEqual([1, 2, 4, 8]);
  });

  test("gives each request its own output, and tells the scheduler", async () => {
    const spec = await stand.load(addModel("add", 4, 8));
    stand.assign(spec, [
      item(1, row(1, 2, 3, 4)),
      item(2, row(5, 6, 7, 8), { ingress: "ingress-2" }),
      item(3, row(9, 9, 9, 9)),
    ]);
    await stand.answered("ingress-1", [1, 3]);
    await stand.answered("ingress-2", [2]);
    expect([...numbers(stand.answer("ingress-1", 1).body)]).toEqual([2, 3, 4, 5]);
    expect([...numbers(stand.answer("ingress-2", 2).body)]).toEqual([6, 7, 8, 9]);
    expect([...numbers(stand.answer("ingress-1", 3).body)]).toEqual([10, 10, 10, 10]);
    expect(stand.answer("ingress-1", 1)).toMatchObject({ error: undefined, batchRows: 3 });
    await until(() => stand.dones.some(({ model }) => model === "add@1"));
    expect(stand.dones.at(-1)).toMatchObject({ outcome: "ran", rows: 3, worker: "gpu-worker-1" });
  });

  test("fails a poisoned row alone, among mates that are answered", async () => {
    const spec = await stand.load(pickModel("pick"));
    const values = [0, 1, 2, 0, 99, 1, 2, 0, 1, 2];
    stand.assign(
      spec,
      values.map((value, at) => item(100 + at, integer(value))),
    );
    await stand.answered(
      "ingress-1",
      values.map((_, at) => 100 + at),
    );
    values.forEach((value, at) => {
      const answer = stand.answer("ingress-1", 100 + at);
      if (value === 99) expect(answer.error).toBe("INPUT_REJECTED");
      else expect([...numbers(answer.body)]).toEqual([10 + value]);
    });
  });

  test("mixes nothing up among many batches of all tiers, poisoned rows among them", async () => {
    const spec = await stand.load(pickModel("many"));
    const seed = Number(process.env["SEED"] ?? 1);
    const random = seededRandom(seed);
    const wanted = new Map<string, number>();
    for (let batch = 0; batch < 40; batch++) {
      const tier = PRIORITIES.map((_, at) => at as Tier)[random.below(3)] ?? 0;
      const items = Array.from({ length: 1 + random.below(12) }, (_, at) => {
        const ingress = random.chance(0.5) ? "ingress-1" : "ingress-2";
        const value = random.chance(0.1) ? 99 : random.below(3);
        const seq = 10_000 + batch * 100 + at;
        wanted.set(`${ingress}/${seq}`, value);
        return item(seq, integer(value), { ingress, tier });
      });
      stand.assign(spec, items, { tier });
    }
    await until(() => [...wanted.keys()].every((key) => stand.answers.has(key)));
    for (const [key, value] of wanted) {
      const { error, body } = present(stand.answers.get(key), key);
      // Alone in its batch, a poisoned row may as well be the device's fault.
      if (value === 99) expect(error, `seed ${seed}`).toMatch(/INPUT_REJECTED|EXECUTION_FAILED/);
      else expect([key, ...numbers(body)], `seed ${seed}`).toEqual([key, 10 + value]);
    }
  });

  test("fetches large bodies, and sends large outputs in parts ahead of their answer", async () => {
    const width = 300_000;
    const spec = await stand.load(addModel("wide", width, 2));
    const body = floats(new Float32Array(width).fill(41));
    stand.assign(spec, [item(200, body, { remote: true }), item(201, body, { remote: true })]);
    await until(() => stand.fetches.length === 1);
    expect(stand.fetches[0]).toEqual({
      worker: "gpu-worker-1",
      wants: [
        { seq: 200, attempt: 0 },
        { seq: 201, attempt: 0 },
      ],
    });
    stand.sendBody("ingress-1", 200, body);
    stand.sendBody("ingress-1", 201, undefined);
    await stand.answered("ingress-1", [200, 201]);
    expect(stand.answer("ingress-1", 201).error).toBe("BODY_GONE");
    const answer = stand.answer("ingress-1", 200);
    expect(answer).toMatchObject({ error: undefined, parted: true, bodyBytes: body.length });
    const parts = stand.parts.filter(({ seq }) => seq === 200);
    expect(parts).toHaveLength(2);
    const whole = new Uint8Array(answer.bodyBytes);
    for (const { offset, bytes } of parts) whole.set(bytes, offset);
    expect(new Set(numbers(whole))).toEqual(new Set([42]));
  });

  test("refuses a file that is not what the digest says, and shows why a load failed", async () => {
    const { spec, file } = addModel("forged", 4, 8);
    await stand.load({ spec, file }, new TextEncoder().encode("something else"));
    expect(stand.stateOf("forged@1")).toBe("failed");
    const models = stand.beats.findLast((beat) => beat.models !== undefined)?.models ?? [];
    expect(models.find(({ ref }) => ref === "forged@1")?.error?.code).toBe("DIGEST_MISMATCH");
  });

  test("refuses what was meant for the process before it", async () => {
    const spec = await stand.load(addModel("again", 4, 8));
    stand.assign(spec, [item(300, row(1, 2, 3, 4))], { incarnation: 1 });
    await stand.answered("ingress-1", [300]);
    expect(stand.answer("ingress-1", 300).error).toBe("STALE_ASSIGNMENT");
  });

  test("drops what it cannot read, and goes on", async () => {
    const spec = await stand.load(addModel("robust", 4, 8));
    stand.scheduler.publish("mr.assign.gpu-worker-1", Uint8Array.of(1, 2, 3));
    stand.scheduler.publish("mr.command.gpu-worker-1", Uint8Array.of(1, 2, 3));
    stand.ingress.publish("mr.tensor.gpu-worker-1", Uint8Array.of(1, 2, 3));
    stand.assign(spec, [item(400, row(0, 0, 0, 0))]);
    await stand.answered("ingress-1", [400]);
    expect([...numbers(stand.answer("ingress-1", 400).body)]).toEqual([1, 1, 1, 1]);
  });

  test("answers the micro protocol with its own figures", async () => {
    const reply = await stand.inspector.connection.request("$SRV.STATS.gpu-worker");
    const stats = reply.json<{
      endpoints: { num_requests: number; data: { state: string; models: { ref: string }[] } }[];
    }>();
    const [endpoint] = stats.endpoints;
    expect(endpoint?.num_requests).toBe(stand.answers.size);
    expect(endpoint?.data.state).toBe("ready");
    expect(endpoint?.data.models.map(({ ref }) => ref)).toContain("add@1");
  });

  test("survives a restart of the broker with its models", async () => {
    const spec = await stand.load(addModel("steady", 4, 8));
    const { connection } = present(stand.beats.at(-1), "a heartbeat");
    await stand.broker.restart();
    const before = stand.beats.length;
    await until(() => stand.beats.length > before && stand.scheduler.connected);
    const now = present(present(stand.beats[before], "a heartbeat").connection, "the connection");
    expect(now.server).not.toBe(present(connection, "the connection before").server);
    stand.assign(spec, [item(500, row(1, 1, 1, 1))]);
    await stand.answered("ingress-1", [500]);
    expect([...numbers(stand.answer("ingress-1", 500).body)]).toEqual([2, 2, 2, 2]);
  });

  test("drains: it says so, finishes what it holds, refuses the rest, and ends", async () => {
    const spec = await stand.load(addModel("last", 4, 8));
    stand.assign(spec, [item(600, row(1, 1, 1, 1))]);
    await stand.answered("ingress-1", [600]);
    stand.stop();
    await until(() => stand.beats.at(-1)?.state === "draining");
    stand.assign(spec, [item(601, row(1, 1, 1, 1))]);
    await stand.answered("ingress-1", [601]);
    expect(stand.answer("ingress-1", 601).error).toBe("DRAINING");
    await stand.ended;
  });
});
