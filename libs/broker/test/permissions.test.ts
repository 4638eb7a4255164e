/** Every user against every subject, on a real server (I9). */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createUser } from "@nats-io/nkeys";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type Broker,
  inboxPrefix,
  PERMISSIONS,
  renderPermissionsTable,
  startBroker,
  type User,
  USERS,
} from "../src/index.ts";
import { openWire } from "./wire.ts";

type Granted = readonly User[];
const WORKERS: Granted = ["gpu-worker", "cpu-worker"];
const SERVICES: Granted = ["ingress", "scheduler", ...WORKERS];
const APP: Granted = [...SERVICES, "admin", "inspector"];
const PEOPLE: Granted = ["admin", "inspector"];
const REGISTRY_READERS: Granted = ["ingress", "scheduler", "forecaster", ...PEOPLE];
const BLOB_READERS: Granted = [...WORKERS, "admin"];
const CHAOS: Granted = ["chaos"];
const FORECASTER: Granted = ["forecaster"];
const NOBODY: Granted = [];

/** Written by hand and not from the table: what each user may do, and so what nobody else may. */
const EXPECTED: readonly {
  readonly subject: string;
  readonly publish: Granted;
  readonly subscribe: Granted;
}[] = [
  { subject: "mr.ticket.scheduler-1", publish: ["ingress"], subscribe: ["scheduler"] },
  { subject: "mr.tensor.gpu-worker-1", publish: ["ingress"], subscribe: WORKERS },
  { subject: "mr.assign.gpu-worker-1", publish: ["scheduler"], subscribe: WORKERS },
  { subject: "mr.command.gpu-worker-1", publish: ["scheduler"], subscribe: WORKERS },
  { subject: "mr.done.scheduler-1", publish: WORKERS, subscribe: ["scheduler"] },
  {
    subject: "mr.answer.ingress-1",
    publish: ["scheduler", ...WORKERS],
    subscribe: ["ingress"],
  },
  { subject: "mr.fetch.ingress-1", publish: WORKERS, subscribe: ["ingress"] },
  {
    subject: "mr.hb.worker.gpu-worker-1",
    publish: WORKERS,
    subscribe: [...APP, "forecaster", ...CHAOS],
  },
  {
    subject: "mr.hb.scheduler.scheduler-1",
    publish: ["scheduler"],
    subscribe: [...APP, "forecaster", ...CHAOS],
  },
  { subject: "mr.hb.>", publish: NOBODY, subscribe: PEOPLE },
  {
    subject: "mr.hb.ingress.ingress-1",
    publish: ["ingress"],
    subscribe: ["scheduler", ...PEOPLE],
  },
  { subject: "mr.evt.budget", publish: FORECASTER, subscribe: PEOPLE },
  { subject: "mr.evt.model-loaded", publish: NOBODY, subscribe: PEOPLE },
  { subject: "mr.hb.forecaster.a", publish: NOBODY, subscribe: PEOPLE },
  { subject: "mr.load.minute.digits", publish: ["ingress", "admin"], subscribe: NOBODY },
  { subject: "mr.load.hour.digits", publish: FORECASTER, subscribe: NOBODY },
  { subject: "mr.ledger.gpu-zone-spot", publish: FORECASTER, subscribe: NOBODY },
  { subject: "mr.fleet.up", publish: FORECASTER, subscribe: ["admin"] },
  { subject: "$KV.mr_forecast.plan", publish: FORECASTER, subscribe: NOBODY },
  { subject: "$KV.mr_leases.forecaster", publish: FORECASTER, subscribe: NOBODY },
  { subject: "$KV.mr_leases.other", publish: NOBODY, subscribe: NOBODY },
  {
    subject: "$JS.API.STREAM.MSG.GET.mr_load_minute",
    publish: ["forecaster", "admin"],
    subscribe: NOBODY,
  },
  { subject: "$JS.API.CONSUMER.MSG.NEXT.mr_load_minute.x", publish: NOBODY, subscribe: NOBODY },
  { subject: "$JS.API.STREAM.PURGE.mr_load_minute", publish: ["admin"], subscribe: NOBODY },
  { subject: "$JS.API.STREAM.DELETE.mr_ledger", publish: ["admin"], subscribe: NOBODY },
  {
    subject: "mr.sys.disconnect",
    publish: NOBODY,
    subscribe: [...APP, "forecaster", ...CHAOS],
  },
  { subject: "mr.chaos.command", publish: ["admin"], subscribe: CHAOS },
  { subject: "mr.chaos.journal", publish: CHAOS, subscribe: PEOPLE },
  { subject: "mr.chaos.hook.scheduler.a", publish: CHAOS, subscribe: ["scheduler"] },
  { subject: "mr.chaos.hook.cpu-worker.a", publish: CHAOS, subscribe: ["cpu-worker"] },
  { subject: "mr.chaos.hook.supervisor.a", publish: CHAOS, subscribe: ["admin"] },
  { subject: "mr.unknown", publish: NOBODY, subscribe: NOBODY },
  { subject: "mr.ticket.scheduler-1.more", publish: NOBODY, subscribe: NOBODY },
  { subject: "mr.>", publish: NOBODY, subscribe: NOBODY },
  { subject: ">", publish: NOBODY, subscribe: NOBODY },
  { subject: "*.answer.*", publish: NOBODY, subscribe: NOBODY },

  { subject: "$SRV.PING", publish: PEOPLE, subscribe: [...SERVICES, "forecaster", ...CHAOS] },
  {
    subject: "$SRV.STATS.gpu-worker.id",
    publish: PEOPLE,
    subscribe: [...SERVICES, "forecaster", ...CHAOS],
  },

  { subject: "$JS.API.INFO", publish: PEOPLE, subscribe: NOBODY },
  { subject: "$JS.API.STREAM.LIST", publish: PEOPLE, subscribe: NOBODY },
  { subject: "$JS.API.STREAM.INFO.KV_mr_models", publish: REGISTRY_READERS, subscribe: NOBODY },
  { subject: "$JS.API.STREAM.MSG.GET.KV_mr_models", publish: REGISTRY_READERS, subscribe: NOBODY },
  {
    subject: "$JS.API.DIRECT.GET.KV_mr_models.$KV.mr_models.digits",
    publish: NOBODY,
    subscribe: NOBODY,
  },
  {
    subject: "$JS.API.CONSUMER.CREATE.KV_mr_models.name.$KV.mr_models.>",
    publish: REGISTRY_READERS,
    subscribe: NOBODY,
  },
  { subject: "$JS.FC.KV_mr_models.name.token", publish: REGISTRY_READERS, subscribe: NOBODY },
  { subject: "$JS.API.CONSUMER.DURABLE.CREATE.KV_mr_models.x", publish: NOBODY, subscribe: NOBODY },
  { subject: "$JS.API.STREAM.CREATE.KV_mr_models", publish: ["admin"], subscribe: NOBODY },
  { subject: "$JS.API.STREAM.PURGE.KV_mr_models", publish: ["admin"], subscribe: NOBODY },
  { subject: "$JS.API.STREAM.DELETE.KV_mr_models", publish: ["admin"], subscribe: NOBODY },
  { subject: "$KV.mr_models.digits", publish: ["admin"], subscribe: NOBODY },
  {
    subject: "$JS.API.STREAM.INFO.OBJ_mr_blobs",
    publish: [...BLOB_READERS, "inspector", ...CHAOS],
    subscribe: NOBODY,
  },
  {
    subject: "$JS.API.STREAM.MSG.GET.OBJ_mr_blobs",
    publish: [...BLOB_READERS, ...CHAOS],
    subscribe: NOBODY,
  },
  {
    subject: "$JS.API.CONSUMER.CREATE.OBJ_mr_blobs.name.$O.mr_blobs.C.nuid",
    publish: BLOB_READERS,
    subscribe: NOBODY,
  },
  { subject: "$JS.API.STREAM.CREATE.OBJ_mr_blobs", publish: ["admin"], subscribe: NOBODY },
  { subject: "$JS.API.STREAM.DELETE.OBJ_mr_blobs", publish: ["admin"], subscribe: NOBODY },
  // Models are damaged on purpose, and mended.
  {
    subject: "$JS.API.STREAM.PURGE.OBJ_mr_blobs",
    publish: ["admin", ...CHAOS],
    subscribe: NOBODY,
  },
  { subject: "$O.mr_blobs.C.nuid", publish: ["admin", ...CHAOS], subscribe: NOBODY },
  { subject: "$O.mr_blobs.M.digest", publish: ["admin", ...CHAOS], subscribe: NOBODY },
  { subject: "mr.job.2.acme.digits", publish: ["ingress", "admin"], subscribe: NOBODY },
  { subject: "mr.job.>", publish: NOBODY, subscribe: NOBODY },
  { subject: "mr.result.acme.j1.1-0", publish: ["ingress"], subscribe: NOBODY },
  { subject: "mr.dead.acme.j1.1-0", publish: ["ingress"], subscribe: NOBODY },
  { subject: "mr.hook.acme.j1", publish: ["ingress"], subscribe: NOBODY },
  { subject: "$KV.mr_job_state.acme.j1", publish: ["ingress", "admin"], subscribe: NOBODY },
  {
    subject: "$JS.API.CONSUMER.MSG.NEXT.mr_job_chunks.lane-0",
    publish: ["ingress"],
    subscribe: NOBODY,
  },
  {
    subject: "$JS.API.CONSUMER.CREATE.mr_job_chunks.lane-1.mr.job.1.*.*",
    publish: ["admin"],
    subscribe: NOBODY,
  },
  {
    subject: "$JS.API.CONSUMER.CREATE.mr_job_chunks.lane-1.mr.job.>",
    publish: NOBODY,
    subscribe: NOBODY,
  },
  { subject: "$JS.API.CONSUMER.CREATE.mr_job_chunks.tap", publish: NOBODY, subscribe: NOBODY },
  { subject: "$JS.API.STREAM.MSG.GET.mr_job_chunks", publish: NOBODY, subscribe: NOBODY },
  { subject: "$JS.API.STREAM.MSG.GET.mr_dead", publish: ["admin"], subscribe: NOBODY },
  {
    subject: "$JS.API.STREAM.MSG.GET.mr_job_results",
    publish: ["ingress", "admin"],
    subscribe: NOBODY,
  },
  { subject: "$JS.API.STREAM.CREATE.mr_job_chunks", publish: ["admin"], subscribe: NOBODY },
  { subject: "$JS.API.STREAM.DELETE.mr_job_chunks", publish: NOBODY, subscribe: NOBODY },
  // A stream that captured other subjects would be a wiretap.
  { subject: "$JS.API.STREAM.CREATE.TAP", publish: NOBODY, subscribe: NOBODY },
  { subject: "$JS.API.STREAM.INFO.TAP", publish: ["inspector"], subscribe: NOBODY },
  { subject: "$JS.API.CONSUMER.CREATE.TAP", publish: NOBODY, subscribe: NOBODY },
  // A consumer delivers to any subject what its maker has written into the stream.
  { subject: "$JS.API.CONSUMER.CREATE.KV_mr_job_state.tap", publish: NOBODY, subscribe: NOBODY },
  { subject: "$JS.API.CONSUMER.CREATE.mr_job_results.tap", publish: NOBODY, subscribe: NOBODY },
  { subject: "$JS.API.CONSUMER.CREATE.OBJ_mr_job_objects.tap", publish: NOBODY, subscribe: NOBODY },
  { subject: "$JS.API.CONSUMER.CREATE.mr_load_hour.tap", publish: ["admin"], subscribe: NOBODY },
  { subject: "$JS.API.CONSUMER.CREATE.mr_ledger.tap", publish: ["admin"], subscribe: NOBODY },
  // So does a direct look-up, to whatever reply its asker names.
  { subject: "$JS.API.DIRECT.GET.mr_ledger", publish: NOBODY, subscribe: NOBODY },
  { subject: "$JS.API.>", publish: NOBODY, subscribe: NOBODY },
  {
    subject: "$JS.EVENT.ADVISORY.STREAM.CREATED.TAP",
    publish: NOBODY,
    subscribe: ["inspector"],
  },

  { subject: "$SYS.REQ.SERVER.PING", publish: ["sysmon"], subscribe: NOBODY },
  { subject: "$SYS.REQ.SERVER.PING.STATSZ", publish: ["sysmon"], subscribe: NOBODY },
  { subject: "$SYS.REQ.SERVER.PING.KICK", publish: NOBODY, subscribe: NOBODY },
  { subject: "$SYS.REQ.SERVER.ID.RELOAD", publish: NOBODY, subscribe: NOBODY },
  { subject: "$SYS.REQ.CLAIMS.UPDATE", publish: NOBODY, subscribe: NOBODY },
  { subject: "$SYS.ACCOUNT.APP.DISCONNECT", publish: NOBODY, subscribe: ["sysmon"] },
  { subject: "$SYS.SERVER.ID.CLIENT.AUTH.ERR", publish: NOBODY, subscribe: ["sysmon"] },
  { subject: "$SYS.>", publish: NOBODY, subscribe: NOBODY },

  // The default prefix belongs to nobody; each user's own is in the table below.
  { subject: "_INBOX.abc.1", publish: NOBODY, subscribe: NOBODY },
  { subject: "_INBOX.>", publish: NOBODY, subscribe: NOBODY },
  ...USERS.map((user) => ({
    subject: `${inboxPrefix(user)}.abc.1`,
    // An order that hits the broker is answered over another connection than it came on.
    publish: user === "admin" ? CHAOS : NOBODY,
    subscribe: [user],
  })),
];

let directory: string;
let broker: Broker;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-broker-"));
  broker = await startBroker({ directory });
});

afterAll(async () => {
  await broker.stop();
  await rm(directory, { recursive: true, force: true });
});

describe("the server grants", () => {
  test.each(USERS)("%s what it needs and nothing else", async (user) => {
    using wire = await openWire(broker.url, broker.seed(user));
    const subjects = EXPECTED.map(({ subject }) => subject);
    const concrete = subjects.filter((subject) => !/[*>]/.test(subject));
    const refused = {
      publish: await wire.refusedPublishes(concrete),
      subscribe: await wire.refusedSubscriptions(subjects),
    };
    for (const verb of ["publish", "subscribe"] as const) {
      const tried = verb === "publish" ? concrete : subjects;
      expect(
        tried.filter((subject) => !refused[verb].has(subject)),
        `${user} may ${verb}`,
      ).toEqual(
        EXPECTED.filter((row) => row[verb].includes(user) && tried.includes(row.subject)).map(
          ({ subject }) => subject,
        ),
      );
    }
  });

  test("an answer on a foreign inbox to the one who was asked, and once only", async () => {
    using service = await openWire(broker.url, broker.seed("gpu-worker"));
    using admin = await openWire(broker.url, broker.seed("admin"));
    await service.refusedSubscriptions(["$SRV.PING"]);
    await admin.refusedSubscriptions(["_INBOX_admin.>"]);
    expect(await service.refusedPublishes(["_INBOX_admin.1"])).toEqual(new Set(["_INBOX_admin.1"]));
    await admin.publish("$SRV.PING", "_INBOX_admin.1");
    await service.flush();
    expect(service.received).toEqual(["$SRV.PING"]);
    expect(await service.refusedPublishes(["_INBOX_admin.1"])).toEqual(new Set());
    expect(await service.refusedPublishes(["_INBOX_admin.1"])).toEqual(new Set(["_INBOX_admin.1"]));
    await admin.flush();
    expect(admin.received).toEqual(["_INBOX_admin.1"]);
  });
});

describe("the server lets nobody in", () => {
  test("without a key", async () => {
    await expect(openWire(broker.url)).rejects.toThrow("Authorization Violation");
  });

  test("with a key that it does not know", async () => {
    const stranger = Buffer.from(createUser().getSeed()).toString();
    await expect(openWire(broker.url, stranger)).rejects.toThrow("Authorization Violation");
  });
});

describe("the table", () => {
  test("has one row for each user and grants each its own inbox and no other", () => {
    expect(PERMISSIONS.map(({ user }) => user)).toEqual(USERS);
    for (const { user, subscribe } of PERMISSIONS) {
      const inboxes = subscribe.filter((subject) => subject.startsWith("_INBOX"));
      expect(inboxes).toEqual([`${inboxPrefix(user)}.>`]);
    }
  });

  test("is rendered with one line per user", () => {
    const lines = renderPermissionsTable().split("\n");
    expect(lines).toHaveLength(2 + USERS.length);
    expect(lines[2]).toMatch(/^\| ingress \| APP \| `mr\.ticket\.\*`<br>/);
    for (const line of lines) expect(line.split("|")).toHaveLength(8);
  });
});
