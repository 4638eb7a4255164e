/**
 * Workers as the replicas of Kubernetes objects: a Deployment, or anything else that has a `scale`
 * sub-resource. The objects themselves are the user's (`deploy/k8s`); the driver reads and writes
 * their counts, so what it was told outlives it in the API server.
 *
 * Rights that it needs: `get` and `patch` of the sub-resource; `list`, `patch`, `delete` of pods.
 */

import type {
  ConfigurationOptions,
  CoreV1Api,
  CustomObjectsApi,
  KubeConfig,
} from "@kubernetes/client-node";
import * as v from "valibot";
import { assert, fail, ok, present } from "@millrace/std";
import {
  checkPools,
  checkScale,
  countPools,
  type DriverView,
  type FleetDriver,
  fleetFault,
  type FleetMember,
  type FleetResult,
  type MemberState,
  type Pool,
  POOL_MEMBERS_MAX,
  poolKey,
} from "./driver.ts";
import { closed, noSuchMember } from "./instances.ts";

/** The object whose replicas are a pool's members. */
export interface ScaleTarget extends Pool {
  readonly name: string;
  /** Default `apps/v1` and `deployments`. */
  readonly apiVersion?: string;
  readonly plural?: string;
}

export interface KubernetesOptions {
  readonly namespace: string;
  readonly targets: readonly ScaleTarget[];
  /** Default: the pod's own service account, else what kubectl uses. */
  readonly load?: (config: KubeConfig) => void;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;
/** Pods with the lowest cost are deleted first; the ones that were not named have 0. */
const DELETION_COST = "controller.kubernetes.io/pod-deletion-cost";
const RETIRED_COST = "-1000";

const scaleSchema = v.object({
  spec: v.optional(v.object({ replicas: v.optional(v.number(), 0) }), {}),
  status: v.optional(v.object({ selector: v.optional(v.string()) }), {}),
});

type Pod = Awaited<ReturnType<CoreV1Api["listNamespacedPod"]>>["items"][number];

interface Client {
  readonly objects: CustomObjectsApi;
  readonly core: CoreV1Api;
  /** Says that a patch is merged. */
  readonly merge: ConfigurationOptions;
}

/** Loads the client, which is large, only where it is used. @throws Error without a cluster. */
export async function openKubernetes(options: KubernetesOptions): Promise<FleetDriver> {
  const kubernetes = await import("@kubernetes/client-node");
  const config = new kubernetes.KubeConfig();
  if (options.load === undefined) config.loadFromDefault();
  else options.load(config);
  return new KubernetesFleet(options, {
    objects: config.makeApiClient(kubernetes.CustomObjectsApi),
    core: config.makeApiClient(kubernetes.CoreV1Api),
    merge: kubernetes.setHeaderOptions("Content-Type", kubernetes.PatchStrategy.MergePatch),
  });
}

/** What one pool is at the API server. */
interface Read {
  readonly target: ScaleTarget;
  readonly expected: number;
  readonly members: readonly FleetMember[];
}

class KubernetesFleet implements FleetDriver {
  readonly name = "kubernetes";
  readonly pools: readonly Pool[];
  readonly #options: KubernetesOptions;
  readonly #client: Client;
  #closed = false;

  constructor(options: KubernetesOptions, client: Client) {
    const problems = checkPools(options.targets);
    assert(problems.length === 0, problems.join("; "));
    this.#options = options;
    this.#client = client;
    this.pools = options.targets.map(({ kind, zone, lifecycle }) => ({ kind, zone, lifecycle }));
  }

  async list(): Promise<FleetResult<DriverView>> {
    return this.#reaching(async () => {
      const reads = await Promise.all(this.#options.targets.map((target) => this.#read(target)));
      const members = reads.flatMap((read) => read.members);
      const expected = new Map(reads.map((read) => [poolKey(read.target), read.expected]));
      const expectedOf = (pool: Pool): number =>
        present(expected.get(poolKey(pool)), "every pool was read");
      return { members, pools: countPools(this.pools, members, expectedOf) };
    });
  }

  async scale(
    pool: Pool,
    count: number,
    retire: readonly string[] = [],
  ): Promise<FleetResult<void>> {
    const checked = checkScale(this.pools, pool, count);
    if (!checked.ok) return checked;
    const key = poolKey(pool);
    const target = this.#options.targets.find((candidate) => poolKey(candidate) === key);
    return this.#reaching(async () => {
      const place = this.#placeOf(present(target, "the pool was checked"));
      const { expected, members } = await this.#read(present(target, "the pool was checked"));
      if (expected === count) return;
      const { core, merge, objects } = this.#client;
      const named = members.filter(({ id }) => count < expected && retire.includes(id));
      for (const { id } of named) {
        const body = { metadata: { annotations: { [DELETION_COST]: RETIRED_COST } } };
        const { namespace } = this.#options;
        await core.patchNamespacedPod({ name: id, namespace, body }, merge);
      }
      const body = { spec: { replicas: count } };
      await objects.patchNamespacedCustomObjectScale({ ...place, body }, merge);
    });
  }

  async replace(id: string): Promise<FleetResult<void>> {
    const view = await this.list();
    if (!view.ok) return view;
    if (!view.value.members.some((member) => member.id === id)) {
      return fail(noSuchMember(this.name, id));
    }
    return this.#reaching(async () => {
      const { namespace } = this.#options;
      await this.#client.core.deleteNamespacedPod({ name: id, namespace });
    });
  }

  /** Its members are the API server's: nothing ends with the driver. */
  async close(): Promise<void> {
    this.#closed = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #placeOf({ apiVersion = "apps/v1", name, plural = "deployments" }: ScaleTarget) {
    const [group = "", version = ""] = apiVersion.split("/");
    return { group, version, namespace: this.#options.namespace, plural, name };
  }

  async #read(target: ScaleTarget): Promise<Read> {
    const { core, objects } = this.#client;
    const { namespace } = this.#options;
    const answer: unknown = await objects.getNamespacedCustomObjectScale(this.#placeOf(target));
    const scale = v.parse(scaleSchema, answer);
    const labelSelector = scale.status.selector;
    // Without a selector every pod of the namespace would be taken for a member.
    if (labelSelector === undefined || labelSelector === "") {
      throw new Error(`the scale of ${target.name} has no selector, so its pods are not known`);
    }
    const limit = POOL_MEMBERS_MAX; // I6
    const { items } = await core.listNamespacedPod({ namespace, labelSelector, limit });
    const members = items.map((pod) => describePod(pod, target));
    return { target, expected: scale.spec.replicas, members };
  }

  /** What the client throws becomes a fault, and so does an answer that does not come. */
  async #reaching<T>(call: () => Promise<T>): Promise<FleetResult<T>> {
    if (this.#closed) return fail(closed(this.name));
    const { timeoutMs = TIMEOUT_MS } = this.#options;
    const late = Promise.withResolvers<FleetResult<T>>();
    const said = `the API server did not answer within ${timeoutMs} ms`;
    const timer = setTimeout(late.resolve, timeoutMs, fail(fleetFault("TIMED_OUT", said)));
    const answered = call().then(ok, (error: unknown) => fail(faultOf(error)));
    const result = await Promise.race([answered, late.promise]);
    clearTimeout(timer);
    return result;
  }
}

const statusSchema = v.object({ code: v.number(), body: v.optional(v.unknown()) });

/** The client throws an exception with a status for an answer, and fetch's own without one. */
function faultOf(error: unknown) {
  const answered = v.safeParse(statusSchema, error);
  if (v.isValiError(error)) return fleetFault("MALFORMED", `not a scale: ${error.message}`);
  const message = error instanceof Error ? error.message : String(error);
  if (!answered.success) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : "";
    const unreachable = error instanceof TypeError || cause !== "";
    const said = cause === "" ? message : `${message}: ${cause}`;
    return fleetFault(unreachable ? "UNREACHABLE" : "MALFORMED", said);
  }
  const { code, body } = answered.output;
  const said = `the API server answered ${code}: ${reasonOf(body) ?? message}`;
  if (code === 429 || code >= 500) return fleetFault("UNREACHABLE", said);
  return fleetFault("REFUSED", said, code === 404 || code === 409);
}

/** The message of a `Status` object, which comes as text where the type was not known. */
function reasonOf(body: unknown): string | undefined {
  const schema = v.object({ message: v.string() });
  let value = body;
  if (typeof body === "string") {
    try {
      value = JSON.parse(body);
    } catch {
      return undefined;
    }
  }
  const status = v.safeParse(schema, value);
  return status.success ? status.output.message : undefined;
}

function describePod(pod: Pod, { kind, zone, lifecycle }: ScaleTarget): FleetMember {
  const id = present(pod.metadata?.name, "a pod has a name");
  const state = stateOf(pod);
  const detail = state === "ready" ? undefined : detailOf(pod);
  const member = { id, kind, zone, lifecycle, state };
  return detail === undefined ? member : { ...member, detail };
}

function stateOf({ metadata, status }: Pod): MemberState {
  if (metadata?.deletionTimestamp !== undefined) return "draining";
  if (status?.phase === "Failed" || status?.phase === "Succeeded") return "gone";
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  return ready?.status === "True" ? "ready" : "starting";
}

/** Why it is not ready: what the scheduler, the image or the last run of its container said. */
function detailOf({ status }: Pod): string | undefined {
  const unscheduled = status?.conditions?.find(
    ({ type, status: holds }) => type === "PodScheduled" && holds === "False",
  );
  const waiting = status?.containerStatuses?.find(({ state }) => state?.waiting !== undefined);
  return unscheduled?.message ?? waiting?.state?.waiting?.reason ?? status?.reason ?? status?.phase;
}
