/**
 * Which addresses a webhook may go to: hosts that the operator named, over https, at addresses of
 * the public internet. The address is resolved once and the connection goes to that very address,
 * so a name that changes its mind in between reaches nothing.
 */

import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { type Fault, fault } from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";

export interface WebhookAddress {
  readonly url: URL;
  /** What the host's name stood for when it was asked. */
  readonly address: string;
  readonly family: 4 | 6;
}

export type Resolve = (
  host: string,
) => Promise<readonly { readonly address: string; readonly family: number }[]>;

const resolveAll: Resolve = (host) => lookup(host, { all: true, verbatim: true });

/** IANA's registry of special-purpose addresses (RFC 6890 and its successors). */
const SPECIAL_V4 = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.31.196.0", 24],
  ["192.52.193.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["192.175.48.0", 24],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
] as const;
/** Inside 2000::/3: protocol assignments and Teredo, documentation, 6to4, and SRv6. */
const SPECIAL_V6 = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
  ["5f00::", 16],
] as const;

const special = new BlockList();
for (const [net, prefix] of SPECIAL_V4) special.addSubnet(net, prefix, "ipv4");
for (const [net, prefix] of SPECIAL_V6) special.addSubnet(net, prefix, "ipv6");
/**
 * Global unicast. Everything else of IPv6 is refused unseen: loopback, ULA, link-local, multicast,
 * and IPv4 in its mapped, compatible and NAT64 disguises.
 */
const globalV6 = new BlockList();
globalV6.addSubnet("2000::", 3, "ipv6");
const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

export function isPublic(address: string): boolean {
  if (isIP(address) === 4) return !special.check(address, "ipv4");
  return isIP(address) === 6 && globalV6.check(address, "ipv6") && !special.check(address, "ipv6");
}

const isLoopback = (address: string): boolean =>
  isIP(address) !== 0 && loopback.check(address, isIP(address) === 4 ? "ipv4" : "ipv6");

/**
 * One entry of the allow-list: `hooks.example.com`, `*.example.com` for every host below it, or
 * `http://localhost` for plain HTTP to a loopback address of this machine.
 */
const PLAIN = "http://";

export class WebhookHosts {
  readonly #entries: readonly string[];
  readonly #resolve: Resolve;

  constructor(entries: readonly string[], resolve: Resolve = resolveAll) {
    this.#entries = entries.map((entry) => entry.toLowerCase());
    this.#resolve = resolve;
  }

  /** False where no webhook may go anywhere, which is the default. */
  get isOn(): boolean {
    return this.#entries.length > 0;
  }

  /** What can be said of an address without asking anybody. */
  check(text: string): Result<URL, Fault> {
    if (!this.isOn) return refuse("webhooks are off here (MILLRACE_WEBHOOK_HOSTS)");
    if (!URL.canParse(text)) return refuse("it is no URL");
    const url = new URL(text);
    if (url.username !== "" || url.password !== "") return refuse("it has credentials in it");
    if (this.#isPlain(url)) return ok(url);
    if (url.protocol !== "https:") return refuse("it is not https");
    if (!this.#isNamed(url.hostname))
      return refuse(`${url.hostname} is not among the hosts allowed`);
    return ok(url);
  }

  /** Every address of the name has to be allowed, not only the one that is taken. */
  async resolve(text: string): Promise<Result<WebhookAddress, Fault>> {
    const checked = this.check(text);
    if (!checked.ok) return checked;
    const url = checked.value;
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const isAllowed = this.#isPlain(url) ? isLoopback : isPublic;
    let found;
    try {
      found = await this.#resolve(host);
    } catch (error) {
      return fail(fault("DISCONNECTED", `${host} has no address: ${(error as Error).message}`));
    }
    const wrong = found.find(({ address }) => !isAllowed(address));
    if (wrong !== undefined) return refuse(`${host} is at ${wrong.address}, which is not public`);
    const [first] = found;
    if (first === undefined) return fail(fault("DISCONNECTED", `${host} has no address`));
    return ok({ url, address: first.address, family: first.family === 6 ? 6 : 4 });
  }

  #isPlain({ protocol, hostname }: URL): boolean {
    return protocol === "http:" && this.#entries.includes(PLAIN + hostname);
  }

  #isNamed(host: string): boolean {
    const name = host.replace(/\.$/, "");
    return this.#entries.some((entry) =>
      entry.startsWith("*.") ? name.endsWith(entry.slice(1)) : name === entry,
    );
  }
}

const refuse = (why: string): Result<never, Fault> =>
  fail(fault("WEBHOOK_REFUSED", `the webhook's address is refused: ${why}`));
