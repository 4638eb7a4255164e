/** The other end of the fault proxy's interface. */

import type { Lease, LinkReport } from "./proxy.ts";

const TIMEOUT_MS = 2_000;

export interface ProxyAddress {
  readonly controlPort: number;
  readonly token: string;
}

export class ProxyControl {
  readonly #address: ProxyAddress;

  constructor(address: ProxyAddress) {
    this.#address = address;
  }

  /** @throws Error with the proxy's reason, or that it cannot be reached. */
  async begin(lease: Lease): Promise<void> {
    await this.#ask("POST", "/leases", lease);
  }

  /** A lease that is over is none to end. @throws Error where the proxy cannot be reached. */
  async end(id: string): Promise<void> {
    await this.#ask("DELETE", `/leases/${encodeURIComponent(id)}`);
  }

  /** @throws Error where the proxy cannot be reached. */
  async report(): Promise<LinkReport> {
    return (await this.#ask("GET", "/links")) as LinkReport;
  }

  async #ask(method: string, path: string, body?: object): Promise<unknown> {
    const { controlPort, token } = this.#address;
    const response = await fetch(`http://127.0.0.1:${controlPort}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, connection: "close" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const answer: unknown = await response.json();
    if (response.ok) return answer;
    const { error } = answer as { readonly error?: string };
    throw new Error(`the fault proxy: ${error ?? response.statusText}`);
  }
}
