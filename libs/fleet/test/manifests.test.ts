/**
 * The manifests of `deploy/k8s`: what the chart renders, what a pod may do, and that an API server
 * takes them. The chart is rendered and linted where helm is (`MILLRACE_TEST_HELM`, or on the
 * path); a real API server checks every field where `MILLRACE_TEST_KUBERNETES` is set.
 */

import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { parseFleetFile } from "../src/index.ts";
import { ControlPlane } from "./kubernetes/control-plane.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url)).replace(/\/$/, "");
const CHART = `${ROOT}/deploy/k8s/chart`;
const MANIFESTS = `${ROOT}/deploy/k8s/millrace.yaml`;
const BINARIES = process.env["MILLRACE_TEST_KUBERNETES"] ?? "";
const HELM = process.env["MILLRACE_TEST_HELM"] ?? "helm";
const hasHelm = spawnSync(HELM, ["version"], { stdio: "ignore" }).status === 0;

interface Container {
  readonly name: string;
  readonly args?: readonly string[];
  readonly env: readonly { readonly name: string }[];
  readonly resources: {
    readonly requests?: object;
    readonly limits?: { readonly memory?: string };
  };
  readonly securityContext: object;
  readonly livenessProbe?: object;
  readonly readinessProbe?: object;
  readonly startupProbe?: object;
}

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly rules?: readonly {
    readonly resources: readonly string[];
    readonly verbs: readonly string[];
  }[];
  readonly spec?: {
    readonly podSelector?: object;
    readonly policyTypes?: readonly string[];
    readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
    readonly template?: {
      readonly spec: {
        readonly automountServiceAccountToken?: boolean;
        readonly securityContext: object;
        readonly containers: readonly Container[];
      };
    };
  };
}

function read(source: string): readonly Manifest[] {
  return parseAllDocuments(source).flatMap((document) => {
    expect(document.errors).toEqual([]);
    const value = document.toJS() as Manifest | null;
    return value === null ? [] : [value];
  });
}

const manifests = read(readFileSync(MANIFESTS, "utf8"));
const ofKind = (kind: string): readonly Manifest[] => manifests.filter((one) => one.kind === kind);
const workloads = manifests.filter((one) => one.spec?.template !== undefined);

describe("the manifests", () => {
  test("have a StatefulSet of NATS, and a deployment of every service and pool", () => {
    expect(workloads.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([
      "Deployment ingress",
      "Deployment scheduler",
      "Deployment worker-cpu-zone-a-on-demand",
      "Deployment worker-gpu-zone-a-on-demand",
      "Deployment worker-gpu-zone-a-spot",
      "StatefulSet nats",
    ]);
  });

  test.each(workloads)(
    "confine the pods of $metadata.name, and ask them how they are",
    (workload) => {
      const pod = workload.spec?.template?.spec;
      expect(pod?.automountServiceAccountToken).toBe(false);
      expect(pod?.securityContext).toEqual({
        runAsNonRoot: true,
        runAsUser: 1000,
        runAsGroup: 1000,
        fsGroup: 1000,
        seccompProfile: { type: "RuntimeDefault" },
      });
      for (const container of pod?.containers ?? []) {
        expect(container.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        });
        expect(container).toHaveProperty("livenessProbe");
        expect(container).toHaveProperty("readinessProbe");
        expect(container).toHaveProperty("startupProbe");
        expect(container.resources.requests).toBeDefined();
        expect(container.resources.limits?.memory).toBeDefined();
      }
    },
  );

  test("run programs that are there", () => {
    const programs = workloads.flatMap(
      ({ spec }) => spec?.template?.spec.containers.flatMap(({ args }) => args ?? []) ?? [],
    );
    expect(programs).toHaveLength(5);
    for (const program of programs) expect(readFileSync(`${ROOT}/${program}`, "utf8")).not.toBe("");
  });

  test("give every workload a disruption budget", () => {
    const nameOf = ({ spec }: Manifest): string | undefined =>
      spec?.selector?.matchLabels?.["app.kubernetes.io/name"];
    const budgets = ofKind("PodDisruptionBudget").map(nameOf);
    expect(new Set(budgets)).toEqual(new Set(workloads.map(nameOf)));
    expect(budgets).toHaveLength(workloads.length);
  });

  test("deny what they do not list, in both directions", () => {
    const [all] = ofKind("NetworkPolicy");
    expect(all?.spec?.podSelector).toEqual({
      matchLabels: { "app.kubernetes.io/part-of": "millrace" },
    });
    expect(all?.spec?.policyTypes).toEqual(["Ingress", "Egress"]);
  });

  test("let the forecaster scale and see pods, and do nothing else", () => {
    expect(ofKind("Role").map(({ rules }) => rules)).toEqual([
      [
        { apiGroups: ["apps"], resources: ["deployments/scale"], verbs: ["get", "patch"] },
        { apiGroups: [""], resources: ["pods"], verbs: ["list", "patch", "delete"] },
      ],
    ]);
    expect(ofKind("ClusterRole")).toEqual([]);
  });

  test("come with a fleet file that names their deployments", () => {
    const [config] = ofKind("ConfigMap");
    const file = parseFleetFile("kubernetes", config?.data?.["fleet.json"] ?? "");
    if (!file.ok) throw new Error(file.error.join("; "));
    const names = "targets" in file.value ? file.value.targets.map(({ name }) => name) : [];
    const deployments = ofKind("Deployment").map(({ metadata }) => metadata.name);
    expect(names).toEqual(deployments.filter((name) => name.startsWith("worker-")));
  });

  test("of KEDA ask for series that the services export, of a deployment that is there", () => {
    const keda = readFileSync(`${ROOT}/deploy/k8s/keda.yaml`, "utf8");
    const [object] = read(keda);
    expect(ofKind("Deployment").map(({ metadata }) => metadata.name)).toContain(
      object?.metadata.name,
    );
    const sources = ["services/scheduler/src", "libs/worker/src"].flatMap((folder) =>
      readdirSync(`${ROOT}/${folder}`, { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(".ts"))
        .map((name) => readFileSync(`${ROOT}/${folder}/${name}`, "utf8")),
    );
    const series = [...keda.matchAll(/millrace_\w+/g)].map(([name]) => name);
    expect(series).toEqual([
      "millrace_scheduler_queued_requests",
      "millrace_worker_backlog_seconds",
    ]);
    for (const name of series) {
      expect(
        sources.some((source) => source.includes(`"${name}"`)),
        name,
      ).toBe(true);
    }
  });
});

const helm = (...args: readonly string[]): string =>
  execFileSync(HELM, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
const render = (...args: readonly string[]): string =>
  helm("template", "millrace", CHART, "--namespace=millrace", "--kube-version=1.35.0", ...args);

const ELASTIC = ["--set", "elastic=true", "--set", "forecaster.prices.name=ours"];

describe.skipIf(!hasHelm)("the chart (with helm, or MILLRACE_TEST_HELM)", () => {
  test("passes its linter", () => {
    expect(helm("lint", "--strict", CHART)).toContain("0 chart(s) failed");
  });

  test("renders the manifests that are in the repository", async () => {
    await expect(render()).toMatchFileSnapshot(MANIFESTS);
  });

  test("leaves the counts to whoever scales, where it is told that there is one", () => {
    const replicas = (text: string): number => (text.match(/^ {2}replicas:/gm) ?? []).length;
    expect(replicas(render())).toBe(6);
    const elastic = render(...ELASTIC);
    expect(replicas(elastic)).toBe(4);
    expect(() => render("--set", "elastic=true")).toThrow(/needs forecaster.prices/);
    const forecaster = read(elastic).find(
      ({ kind, metadata }) => kind === "Deployment" && metadata.name === "forecaster",
    );
    const pod = forecaster?.spec?.template?.spec;
    expect(pod).toMatchObject({ serviceAccountName: "millrace-forecaster" });
    const [container] = pod?.containers ?? [];
    const [ingress] = workloads;
    expect(container?.securityContext).toEqual(
      ingress?.spec?.template?.spec.containers[0]?.securityContext,
    );
  });

  test("refuses values that are wrong, by name", () => {
    const wrong = ["nats.replicas=2", "pools[0].lifecycle=reserved", "pools[0].role=tpu-worker"];
    for (const value of wrong) expect(() => render("--set", value)).toThrow(/values don't meet/);
  });
});

const plural: Readonly<Record<string, string>> = {
  NetworkPolicy: "networkpolicies",
};

test.skipIf(BINARIES === "")(
  "a real API server takes every field of the manifests",
  async () => {
    await using plane = await ControlPlane.start(BINARIES);
    const namespace = JSON.stringify({ metadata: { name: "millrace" } });
    await plane.admin({ method: "POST", path: "/api/v1/namespaces", body: namespace });
    for (const manifest of hasHelm ? read(render(...ELASTIC)) : manifests) {
      const { apiVersion, kind, metadata } = manifest;
      const group = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
      const resource = plural[kind] ?? `${kind.toLowerCase()}s`;
      const path = `${group}/namespaces/millrace/${resource}?dryRun=All&fieldValidation=Strict`;
      const answer = await plane.send(
        { method: "POST", path, body: JSON.stringify(manifest) },
        "admin",
      );
      expect({ name: metadata.name, kind, ...answer }).toMatchObject({ status: 201 });
    }
  },
  90_000,
);
