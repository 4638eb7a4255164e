/** The floor's whole protocol: many numbered bodies in one message. */

export interface Item {
  readonly id: number;
  readonly body: Uint8Array;
}

const HEAD_BYTES = 8;

export const itemBytes = (item: Item): number => HEAD_BYTES + item.body.length;

export function encodeItems(items: readonly Item[]): Uint8Array {
  let size = 0;
  for (const item of items) size += itemBytes(item);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { id, body } of items) {
    view.setUint32(at, id, true);
    view.setUint32(at + 4, body.length, true);
    bytes.set(body, at + HEAD_BYTES);
    at += HEAD_BYTES + body.length;
  }
  return bytes;
}

/**
 * Makes the last bytes of `bytes` a message of one item, whose head is written over what is before.
 */
export function encodeInPlace(id: number, bytes: Uint8Array, bodyBytes: number): Uint8Array {
  const message = bytes.subarray(bytes.length - bodyBytes - HEAD_BYTES);
  const view = new DataView(message.buffer, message.byteOffset, HEAD_BYTES);
  view.setUint32(0, id, true);
  view.setUint32(4, bodyBytes, true);
  return message;
}

/** The bodies are views. */
export function decodeItems(bytes: Uint8Array): Item[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const items: Item[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = view.getUint32(at + 4, true);
    const from = at + HEAD_BYTES;
    items.push({ id: view.getUint32(at, true), body: bytes.subarray(from, from + length) });
    at = from + length;
  }
  return items;
}
