/** The processes of an embedded cluster: which ones, and what each is told. */

import { join } from "node:path";
import { seedFileOf } from "@millrace/broker";

export type Role = "ingress" | "scheduler" | "gpu-worker" | "cpu-worker";
/** With those that are there where faults, or an elastic fleet, were asked for. */
export type MemberRole = Role | "chaos-monkey" | "fault-proxy" | "forecaster";

export interface Member {
  readonly id: string;
  readonly role: MemberRole;
  /** On top of this process's own environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** What they share, and what tells one from another. */
export interface MemberPlan {
  readonly counts: Readonly<Record<Role, number>>;
  /** `nats://host:port`, several with commas. */
  readonly servers: string;
  readonly credentialsDirectory: string;
  /** Everything they keep on disk is below it. */
  readonly directory: string;
  readonly keysFile: string;
  readonly httpHost: string;
  readonly httpPort: number;
  /** Of the second ingress and those after it. */
  readonly moreHttpPorts?: readonly number[];
  /** One for each process, in the order of the members. */
  readonly metricsPorts: readonly number[];
  /** Budget of an emulated device, as `2GiB`. */
  readonly deviceMemory: string;
  readonly logLevel: string;
}

/** The order in which they are started; they find each other in any. */
const ROLES: readonly Role[] = ["scheduler", "ingress", "gpu-worker", "cpu-worker"];

export const countMembers = (counts: MemberPlan["counts"]): number =>
  ROLES.reduce((sum, role) => sum + counts[role], 0);

export function planMembers(plan: MemberPlan): readonly Member[] {
  const ids = ROLES.flatMap((role) =>
    Array.from({ length: plan.counts[role] }, (_, at) => ({ role, at, id: `${role}-${at + 1}` })),
  );
  return ids.map(({ role, at, id }, position) => ({
    id,
    role,
    env: {
      MILLRACE_ID: id,
      MILLRACE_NATS_URL: plan.servers,
      MILLRACE_NATS_SEED_FILE: seedFileOf(plan.credentialsDirectory, role),
      MILLRACE_LOG_LEVEL: plan.logLevel,
      MILLRACE_METRICS_PORT: String(plan.metricsPorts[position] ?? 0),
      ...roleEnv(plan, role, at),
    },
  }));
}

function roleEnv(plan: MemberPlan, role: Role, at: number): Readonly<Record<string, string>> {
  switch (role) {
    case "ingress":
      return {
        MILLRACE_HTTP_HOST: plan.httpHost,
        MILLRACE_HTTP_PORT: String(at === 0 ? plan.httpPort : (plan.moreHttpPorts?.[at - 1] ?? 0)),
        MILLRACE_API_KEYS_FILE: plan.keysFile,
      };
    case "scheduler":
      return {};
    case "gpu-worker":
      return {
        MILLRACE_DEVICE: "auto",
        MILLRACE_DEVICE_INDEX: String(at),
        MILLRACE_DEVICE_MEMORY: plan.deviceMemory,
        MILLRACE_CACHE_DIR: join(plan.directory, "models"),
      };
    case "cpu-worker":
      return { MILLRACE_CACHE_DIR: join(plan.directory, "models") };
  }
}
