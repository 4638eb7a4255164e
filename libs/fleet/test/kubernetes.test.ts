/**
 * The conformance suite on the Kubernetes driver. With `MILLRACE_TEST_KUBERNETES` set to a folder
 * of binaries it runs against a real API server, with the rights of `deploy/k8s/millrace.yaml`,
 * and writes what went over the wire to `kubernetes/tape.json.gz`; without, that tape is played.
 */

import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll } from "vitest";
import { parseAllDocuments } from "yaml";
import { openKubernetes, type Pool, type ScaleTarget } from "../src/index.ts";
import { conformance, type FleetWorld } from "./conformance.ts";
import { ControlPlane } from "./kubernetes/control-plane.ts";
import { Kubelet } from "./kubernetes/kubelet.ts";
import { type Desk, DeskServer, Player, Recorder, type Stage } from "./kubernetes/tape.ts";
import { POOLS } from "./pools.ts";

const BINARIES = process.env["MILLRACE_TEST_KUBERNETES"] ?? "";
const TAPE = fileURLToPath(new URL("kubernetes/tape.json.gz", import.meta.url));
const MANIFESTS = fileURLToPath(new URL("../../../deploy/k8s/millrace.yaml", import.meta.url));

type Tape = Record<string, readonly Stage[]>;

const recorded: Tape = {};
const stack = new AsyncDisposableStack();
let plane: ControlPlane | undefined;
let played: Tape = {};

beforeAll(async () => {
  if (BINARIES === "") {
    played = JSON.parse(gunzipSync(readFileSync(TAPE)).toString()) as Tape;
    return;
  }
  plane = stack.use(await ControlPlane.start(BINARIES));
  stack.use(await Kubelet.start(plane));
}, 90_000);

afterAll(async () => {
  await stack.disposeAsync();
  if (BINARIES !== "") await writeFile(TAPE, gzipSync(JSON.stringify(recorded)));
});

const nameOf = ({ kind, zone, lifecycle }: Pool): string => `${kind}-${zone}-${lifecycle}`;
const targets: readonly ScaleTarget[] = POOLS.map((pool) => ({ ...pool, name: nameOf(pool) }));

function deploymentOf(pool: Pool): object {
  const labels = { app: nameOf(pool) };
  const containers = [{ name: "worker", image: "millrace:test" }];
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: nameOf(pool) },
    spec: {
      replicas: 0,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers } },
    },
  };
}

/** A namespace with the deployments, and with the manifests' rights for the forecaster. */
async function prepare(server: ControlPlane, namespace: string): Promise<void> {
  const post = (path: string, object: object): Promise<unknown> =>
    server.admin({ method: "POST", path, body: JSON.stringify(object) });
  await post("/api/v1/namespaces", { metadata: { name: namespace } });
  const rights = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
  for (const document of parseAllDocuments(readFileSync(MANIFESTS, "utf8"))) {
    const object = document.toJS() as { kind: string; metadata: { namespace?: string } };
    object.metadata.namespace = namespace;
    if (object.kind === "Role") await post(`${rights}/roles`, object);
    if (object.kind === "RoleBinding") await post(`${rights}/rolebindings`, object);
  }
  for (const pool of POOLS) {
    await post(`/apis/apps/v1/namespaces/${namespace}/deployments`, deploymentOf(pool));
  }
}

let tests = 0;

async function open(title: string): Promise<FleetWorld> {
  const namespace = `fleet-${++tests}`;
  let desk: Desk;
  const server = plane;
  if (server === undefined) {
    desk = new Player(played[title] ?? []);
  } else {
    await prepare(server, namespace);
    const recorder = new Recorder((call) => server.send(call, "forecaster"));
    recorded[title] = recorder.stages;
    desk = recorder;
  }
  const proxy = await DeskServer.start(desk);
  const connect = () =>
    openKubernetes({
      namespace,
      targets,
      load: (config) =>
        config.loadFromClusterAndUser(
          { name: "test", server: proxy.url, skipTLSVerify: true },
          { name: "forecaster" },
        ),
    });
  const driver = await connect();
  return {
    driver,
    reopen: connect,
    lose: async (id) => {
      const path = `/api/v1/namespaces/${namespace}/pods/${id}`;
      const body = JSON.stringify({ gracePeriodSeconds: 0 });
      await server?.admin({ method: "DELETE", path, body });
      desk.mark("lose");
    },
    cut: async () => {
      proxy.cut = true;
    },
    heal: async () => {
      proxy.cut = false;
    },
    [Symbol.asyncDispose]: async () => {
      await driver.close();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

conformance({ name: "kubernetes", open, pollMs: BINARIES === "" ? 1 : 20 });
