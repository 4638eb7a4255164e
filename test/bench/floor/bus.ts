/** The floor's connection, and what gathers the items of one event-loop turn into one message. */

import { connect, type NatsConnection } from "@nats-io/transport-node";
import { encodeItems, type Item, itemBytes } from "./frames.ts";

/** The same bound as the cluster's frames. */
const MESSAGE_BYTES_MAX = 512 * 1024;

/** For a process that ends with its parent. */
export function connectFloor(url: string): Promise<NatsConnection> {
  process.on("disconnect", () => process.exit(0));
  return connect({ servers: url, noAsyncTraces: true, timeout: 1000 });
}

export const subscribe = (
  connection: NatsConnection,
  subject: string,
  handler: (bytes: Uint8Array) => void,
): void => {
  connection.subscribe(subject, {
    callback: (error, message) => {
      if (error !== null) throw error;
      handler(message.data);
    },
  });
};

/** A function that takes items for one subject and sends them when the turn ends. */
export function gather(connection: NatsConnection, subject: string): (item: Item) => void {
  let items: Item[] = [];
  let bytes = 0;
  const flush = (): void => {
    if (items.length > 0) connection.publish(subject, encodeItems(items));
    items = [];
    bytes = 0;
  };
  return (item) => {
    if (items.length === 0) setImmediate(flush);
    else if (bytes + itemBytes(item) > MESSAGE_BYTES_MAX) {
      flush();
      setImmediate(flush);
    }
    items.push(item);
    bytes += itemBytes(item);
  };
}
