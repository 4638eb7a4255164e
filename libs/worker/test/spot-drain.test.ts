/** A worker on a spot machine: it says so, and drains before the machine is taken away. */

import { present } from "@millrace/std";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Metadata } from "./metadata.ts";
import { addModel, floats } from "./models.ts";
import { item, Stand, until } from "./stand.ts";

let metadata: Metadata;
let stand: Stand;

beforeAll(async () => {
  metadata = await Metadata.start("aws");
  stand = await Stand.start({
    MILLRACE_KIND: "small",
    MILLRACE_ZONE: "east-1",
    MILLRACE_LIFECYCLE: "spot",
    MILLRACE_SPOT_PROVIDER: "aws",
    MILLRACE_SPOT_URL: metadata.url,
    MILLRACE_SPOT_POLL_MS: "100",
  });
});

afterAll(async () => {
  await stand[Symbol.asyncDispose]();
  await metadata[Symbol.asyncDispose]();
});

test("a worker says what its machine is, where it stands and how it is paid for", async () => {
  await until(() => stand.beats.length > 0);
  const place = { kind: "small", zone: "east-1", lifecycle: "spot" };
  expect(stand.beats[0]).toMatchObject(place);
  const reply = await stand.inspector.connection.request("$SRV.INFO.gpu-worker");
  expect(reply.json<{ metadata: object }>().metadata).toEqual({ id: "gpu-worker-1", ...place });
});

test("a notice begins a drain: what is held is answered, the rest is refused", async () => {
  const spec = await stand.load(addModel("spot", 4, 8));
  const row = floats(Float32Array.from([1, 1, 1, 1]));
  stand.assign(spec, [item(1, row)]);
  await stand.answered("ingress-1", [1]);
  metadata.action = {
    action: "terminate",
    time: new Date(Date.now() + 30_000).toISOString(),
  };
  await until(() => stand.beats.at(-1)?.state === "draining");
  stand.assign(spec, [item(2, row)]);
  await stand.answered("ingress-1", [2]);
  expect(stand.answer("ingress-1", 1).error).toBeUndefined();
  expect(stand.answer("ingress-1", 2).error).toBe("DRAINING");
  await stand.ended;
  expect(present(stand.beats.at(-1), "a heartbeat").state).toBe("draining");
});
