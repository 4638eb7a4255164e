/**
 * What a supervisor sets up so that faults can be injected into what it starts: a way through the
 * fault proxy for each member, the ground file, and what the proxy and the chaos-monkey are told.
 */

import { join } from "node:path";
import { GroundFile, type GroundMember } from "./ground.ts";
import type { ProxyAddress } from "./proxy/control.ts";
import { upstreamOf, writeProxySettings } from "./proxy/settings.ts";

export interface StageOptions {
  /** Its files are put there. */
  readonly directory: string;
  /** Under which the supervisor's own hooks are found. */
  readonly supervisor: string;
  /** Everybody who can be hit; the brokers are among them. */
  readonly members: readonly Omit<GroundMember, "process">[];
  /** `nats://host:port` of each server. */
  readonly servers: readonly string[];
  /** Free ports, as many as `portsNeeded` says. */
  readonly ports: readonly number[];
}

const isLinked = ({ role }: Pick<GroundMember, "role">): boolean => role !== "nats";

/** One for the proxy's control, and for each member one for each server. */
export const portsNeeded = (
  members: readonly Pick<GroundMember, "role">[],
  servers: readonly string[],
): number => 1 + members.filter(isLinked).length * servers.length;

export class Stage implements Disposable {
  /** For the fault proxy's process, whose program is `PROXY_ENTRY`. */
  readonly proxyEnv: Readonly<Record<string, string>>;
  /** For the chaos-monkey's. */
  readonly monkeyEnv: Readonly<Record<string, string>>;
  /** How the proxy is controlled. */
  readonly proxy: ProxyAddress;
  readonly #ground: GroundFile;
  readonly #urls: ReadonlyMap<string, string>;

  private constructor(
    ground: GroundFile,
    settings: string,
    proxy: ProxyAddress,
    urls: ReadonlyMap<string, string>,
  ) {
    this.#ground = ground;
    this.proxy = proxy;
    this.#urls = urls;
    this.proxyEnv = { MILLRACE_FAULT_PROXY_SETTINGS: settings };
    this.monkeyEnv = { MILLRACE_CHAOS: "1", MILLRACE_CHAOS_GROUND: ground.path };
  }

  static async open(options: StageOptions): Promise<Stage> {
    const { directory, supervisor, members, servers, ports } = options;
    const [controlPort = 0, ...rest] = ports;
    const links = members.filter(isLinked).map(({ id }, at) => ({
      member: id,
      listens: servers.map((server, position) => ({
        port: rest[at * servers.length + position] ?? 0,
        upstream: upstreamOf(server),
      })),
    }));
    const proxySettingsFile = join(directory, "fault-proxy.json");
    const proxy = await writeProxySettings(proxySettingsFile, { controlPort, links });
    const path = join(directory, "ground.json");
    const ground = new GroundFile(path, { supervisor, proxySettingsFile, members: [...members] });
    const urls = links.map(({ member, listens }) => {
      const url = listens.map(({ port }) => `nats://127.0.0.1:${port}`).join(",");
      return [member, url] as const;
    });
    return new Stage(ground, proxySettingsFile, proxy, new Map(urls));
  }

  get groundFile(): string {
    return this.#ground.path;
  }

  /** For a member's process: its way to NATS, and that faults are enabled. */
  memberEnv(id: string): Readonly<Record<string, string>> {
    const url = this.#urls.get(id);
    return { MILLRACE_CHAOS: "1", ...(url === undefined ? {} : { MILLRACE_NATS_URL: url }) };
  }

  /** The member runs as this process from now on, or does not run. */
  update(id: string, pid: number | undefined): void {
    this.#ground.update(id, pid);
  }

  [Symbol.dispose](): void {
    this.#ground[Symbol.dispose]();
  }
}
