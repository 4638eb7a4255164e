/** Plays the scheduler and the kubelet of one node: binds pods, says they are ready, ends them. */

import type { ControlPlane } from "./control-plane.ts";

interface Pod {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly deletionTimestamp?: string;
  };
  readonly spec: { readonly nodeName?: string };
  readonly status: { readonly phase?: string };
}

const NODE = "node-1";
const EVERY_MS = 50;

export class Kubelet implements AsyncDisposable {
  readonly #plane: ControlPlane;
  readonly #running: Promise<void>;
  #ended = false;

  private constructor(plane: ControlPlane) {
    this.#plane = plane;
    this.#running = this.#run();
  }

  static async start(plane: ControlPlane): Promise<Kubelet> {
    const body = JSON.stringify({ apiVersion: "v1", kind: "Node", metadata: { name: NODE } });
    await plane.admin({ method: "POST", path: "/api/v1/nodes", body });
    return new Kubelet(plane);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#ended) {
      const { items } = await this.#plane.admin<{ items: Pod[] }>({
        method: "GET",
        path: "/api/v1/pods",
      });
      // A pod may be gone by the time that it is its turn.
      for (const pod of items) await this.#tend(pod).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
  }

  async #tend({ metadata, spec, status }: Pod): Promise<void> {
    const path = `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}`;
    if (metadata.deletionTimestamp !== undefined) {
      const body = JSON.stringify({ gracePeriodSeconds: 0 });
      await this.#plane.admin({ method: "DELETE", path, body });
    } else if (spec.nodeName === undefined) {
      const target = { apiVersion: "v1", kind: "Node", name: NODE };
      const binding = {
        apiVersion: "v1",
        kind: "Binding",
        metadata: { name: metadata.name },
        target,
      };
      const body = JSON.stringify(binding);
      await this.#plane.admin({ method: "POST", path: `${path}/binding`, body });
    } else if (status.phase === "Pending") {
      const conditions = [{ type: "Ready", status: "True" }];
      await this.#plane.admin({
        method: "PATCH",
        path: `${path}/status`,
        contentType: "application/merge-patch+json",
        body: JSON.stringify({ status: { phase: "Running", conditions } }),
      });
    }
  }
}
