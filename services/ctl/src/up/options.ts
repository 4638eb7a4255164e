/** What `millrace up` can be told, and the ports that it takes for it. */

import type { MemberPlan } from "./members.ts";
import { countMembers } from "./members.ts";
import type { Nats } from "./nats.ts";
import { nextFreePort } from "./ports.ts";

export interface UpOptions {
  /** An existing NATS with JetStream: `nats://host:port`, several with commas. */
  readonly servers?: string;
  /** The folder of its users' seeds; needed with `servers`. */
  readonly credentials?: string;
  /** Three NATS servers that survive the loss of one, and streams on all of them. */
  readonly ha?: boolean;
  /** Lets faults be injected on purpose: a fault proxy and a chaos-monkey besides the rest. */
  readonly chaos?: boolean;
  /** Plays a day of load, accelerated, against a fleet that follows a forecast. */
  readonly elastic?: boolean;
  /** How long that day takes. Default 10. */
  readonly dayMinutes?: number;
  /** CSV whose last day is played; a made-up one where absent. */
  readonly trace?: string;
  /** Of the ingress; the next free one where it is busy. Default 8080. */
  readonly port?: number;
  readonly ingresses?: number;
  readonly schedulers?: number;
  readonly gpuWorkers?: number;
  readonly cpuWorkers?: number;
  /** Memory of an emulated device, as `2GiB`, the default. */
  readonly deviceMemory?: string;
}

const HOST = "127.0.0.1";
const HTTP_PORT = 8080;
/** Where exporters of OpenTelemetry and Prometheus begin. */
const METRICS_PORT = 9464;
const DEVICE_MEMORY = "2GiB";

export interface PlanInput {
  readonly options: UpOptions;
  readonly nats: Nats;
  readonly directory: string;
  readonly keysFile: string;
  readonly say: (line: string) => void;
}

/** @throws Error when no port is free. */
export async function choosePlan(input: PlanInput): Promise<MemberPlan> {
  const { options, nats, directory, keysFile, say } = input;
  const counts = {
    ingress: options.ingresses ?? 1,
    scheduler: options.schedulers ?? 2,
    // An elastic fleet starts its own.
    "gpu-worker": options.elastic === true ? 0 : (options.gpuWorkers ?? 1),
    "cpu-worker": options.elastic === true ? 0 : (options.cpuWorkers ?? 1),
  };
  const wanted = options.port ?? HTTP_PORT;
  const httpPort = await nextFreePort(wanted, HOST);
  if (httpPort !== wanted) say(`port ${wanted} is busy, taking ${httpPort} for the ingress`);
  const moreHttpPorts: number[] = [];
  while (moreHttpPorts.length < counts.ingress - 1) {
    moreHttpPorts.push(await nextFreePort((moreHttpPorts.at(-1) ?? httpPort) + 1, HOST));
  }
  const taken = new Set([httpPort, ...moreHttpPorts]);
  const metricsPorts: number[] = [];
  for (let left = countMembers(counts); left > 0; left--) {
    const port = await nextFreePort((metricsPorts.at(-1) ?? METRICS_PORT - 1) + 1, HOST, taken);
    metricsPorts.push(port);
  }
  return {
    counts,
    servers: nats.servers,
    credentialsDirectory: nats.credentialsDirectory,
    directory,
    keysFile,
    httpHost: HOST,
    httpPort,
    moreHttpPorts,
    metricsPorts,
    deviceMemory: options.deviceMemory ?? DEVICE_MEMORY,
    logLevel: "info",
  };
}
