/**
 * Tells whether a connection that ended was a member's own, by what its last heartbeat said. The
 * name alone does not: a server notices a broken link after its member is back on another, and
 * anybody who may connect can take any name.
 */

import type { ConnectionId, Disconnect } from "@millrace/protocol";

/** I6: far more members than a cluster has. */
const MEMBERS_MAX = 100_000;

export class Connections {
  readonly #last = new Map<string, ConnectionId>();

  /** @param heartbeat one without a connection makes its member's unknown. */
  heard(heartbeat: { readonly id: string; readonly connection?: ConnectionId | undefined }): void {
    const { id, connection } = heartbeat;
    if (connection === undefined) this.#last.delete(id);
    else if (this.#last.size < MEMBERS_MAX || this.#last.has(id)) this.#last.set(id, connection);
  }

  /** The event's name where its member ended; undefined where it speaks through another. */
  ended({ client, server }: Disconnect): string | undefined {
    const last = this.#last.get(client.name);
    if (last !== undefined && client.id !== undefined && server?.id !== undefined) {
      if (last.client !== client.id || last.server !== server.id) return undefined;
    }
    this.#last.delete(client.name);
    return client.name;
  }
}
