/**
 * Free ports on loopback: the one that people expect, or the next one up. What was chosen is
 * claimed until this process ends, as the member that will listen there is still to be started:
 * another `millrace up` would choose the same. The claim is the UDP port of that number, which
 * nobody else wants, two cannot have, and the system gives back however a process ends.
 */

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";

const PORTS_TRIED_MAX = 100;

/**
 * The first port from `from` on that nobody listens on or has claimed, and that is not in `taken`.
 * @throws Error when a hundred in a row are busy.
 */
export async function nextFreePort(
  from: number,
  host: string,
  taken: ReadonlySet<number> = new Set(),
): Promise<number> {
  for (let port = from; port < from + PORTS_TRIED_MAX && port < 65_536; port++) {
    if (!taken.has(port) && (await isFree(port, host)) && (await claim(port, host))) {
      return port;
    }
  }
  throw new Error(`no free port from ${from} on, ${PORTS_TRIED_MAX} were tried on ${host}`);
}

/** So many different ones, each the next free after the one before. */
export async function nextFreePorts(
  from: number,
  host: string,
  count: number,
): Promise<readonly number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    ports.push(await nextFreePort((ports.at(-1) ?? from - 1) + 1, host));
  }
  return ports;
}

async function isFree(port: number, host: string): Promise<boolean> {
  const server = createServer();
  try {
    server.listen({ port, host, exclusive: true });
    await once(server, "listening");
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}

async function claim(port: number, host: string): Promise<boolean> {
  const socket = createSocket("udp4").unref();
  try {
    socket.bind({ port, address: host, exclusive: true });
    await once(socket, "listening");
    return true;
  } catch {
    socket.close();
    return false;
  }
}
