/**
 * A real control plane on loopback: etcd, kube-apiserver with RBAC, and the controllers of
 * deployments and replica sets. `test/kubernetes/build.sh` makes the binaries.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";

const READY_MS_MAX = 60_000;
/** The user that the driver is: its rights are the manifests' Role and nothing else. */
export const FORECASTER = "system:serviceaccount:millrace:millrace-forecaster";

export interface Answer {
  readonly status: number;
  readonly body: string;
}

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly body?: string;
  readonly contentType?: string;
}

export class ControlPlane implements AsyncDisposable {
  readonly #children: readonly ChildProcess[];
  readonly #directory: string;
  readonly #port: number;
  readonly #tokens: { readonly admin: string; readonly forecaster: string };

  private constructor(
    children: readonly ChildProcess[],
    directory: string,
    port: number,
    tokens: { readonly admin: string; readonly forecaster: string },
  ) {
    this.#children = children;
    this.#directory = directory;
    this.#port = port;
    this.#tokens = tokens;
  }

  /** @throws Error when it is not ready within a minute. */
  static async start(binaries: string): Promise<ControlPlane> {
    const directory = await mkdtemp(join(tmpdir(), "millrace-kubernetes-"));
    const [etcd, peer, port, controllers] = await freePorts(4);
    const tokens = { admin: randomUUID(), forecaster: randomUUID() };
    await writeFiles(directory, `https://127.0.0.1:${port}`, tokens);
    const file = (name: string): string => join(directory, name);
    const run = (name: string, args: readonly string[]): ChildProcess =>
      spawn(join(binaries, name), args, { stdio: ["ignore", "ignore", "ignore"] });
    const url = `http://127.0.0.1:${etcd}`;
    const peers = `http://127.0.0.1:${peer}`;
    const children = [
      run("etcd", [
        `--data-dir=${file("etcd")}`,
        `--listen-client-urls=${url}`,
        `--advertise-client-urls=${url}`,
        `--listen-peer-urls=${peers}`,
        `--initial-advertise-peer-urls=${peers}`,
        `--initial-cluster=default=${peers}`,
        "--unsafe-no-fsync",
      ]),
      run("kube-apiserver", [
        `--etcd-servers=${url}`,
        "--bind-address=127.0.0.1",
        `--secure-port=${port}`,
        `--cert-dir=${file("certificates")}`,
        `--token-auth-file=${file("tokens.csv")}`,
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://millrace.test",
        `--service-account-key-file=${file("account.pem")}`,
        `--service-account-signing-key-file=${file("account.pem")}`,
        // Pods would need an account that no controller makes here.
        "--disable-admission-plugins=ServiceAccount",
      ]),
      run("kube-controller-manager", [
        `--kubeconfig=${file("kubeconfig")}`,
        "--controllers=deployment-controller,replicaset-controller",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        `--secure-port=${controllers}`,
        `--cert-dir=${file("certificates")}`,
      ]),
    ];
    const plane = new ControlPlane(children, directory, port ?? 0, tokens);
    await plane.#awaitReady();
    return plane;
  }

  /** As the administrator. @throws Error for an answer that is not 2xx. */
  async admin<T>(call: Call): Promise<T> {
    const answer = await this.send(call, "admin");
    if (answer.status >= 300) {
      throw new Error(`${call.method} ${call.path}: ${answer.status} ${answer.body}`);
    }
    return JSON.parse(answer.body) as T;
  }

  async send(call: Call, user: "admin" | "forecaster"): Promise<Answer> {
    const { method, path, body, contentType = "application/json" } = call;
    const sent = request({
      host: "127.0.0.1",
      port: this.#port,
      method,
      path,
      rejectUnauthorized: false,
      headers: {
        authorization: `Bearer ${this.#tokens[user]}`,
        "content-type": contentType,
        // Node sends the body of a DELETE without a frame otherwise.
        "content-length": Buffer.byteLength(body ?? ""),
      },
    });
    sent.end(body);
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    return { status: response.statusCode ?? 0, body: await text(response) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    await rm(this.#directory, { recursive: true });
  }

  async #awaitReady(): Promise<void> {
    const end = performance.now() + READY_MS_MAX;
    for (;;) {
      const answer = await this.send({ method: "GET", path: "/readyz" }, "admin").catch(() => null);
      if (answer?.status === 200) return;
      if (performance.now() > end) {
        await this[Symbol.asyncDispose]();
        throw new Error(`kube-apiserver was not ready: ${answer?.body ?? "no answer"}`);
      }
      await sleep(100);
    }
  }
}

async function writeFiles(
  directory: string,
  server: string,
  tokens: { readonly admin: string; readonly forecaster: string },
): Promise<void> {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  await writeFile(
    join(directory, "account.pem"),
    privateKey.export({ type: "pkcs1", format: "pem" }),
  );
  await writeFile(
    join(directory, "tokens.csv"),
    `${tokens.admin},admin,admin,"system:masters"\n${tokens.forecaster},${FORECASTER},forecaster\n`,
  );
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster: { server, "insecure-skip-tls-verify": true } }],
    users: [{ name: "admin", user: { token: tokens.admin } }],
    contexts: [{ name: "test", context: { cluster: "test", user: "admin" } }],
    "current-context": "test",
  };
  await writeFile(join(directory, "kubeconfig"), JSON.stringify(config));
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}
