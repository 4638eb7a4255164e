/** The floor's scheduler: it passes on what came in one turn. Argument: the broker's URL. */

import { connectFloor, gather, subscribe } from "./bus.ts";
import { decodeItems } from "./frames.ts";

const connection = await connectFloor(process.argv[2] ?? "");
const toWorker = gather(connection, "floor.assign");
subscribe(connection, "floor.ticket", (bytes) => {
  for (const item of decodeItems(bytes)) toWorker(item);
});
await connection.flush();
process.send?.({});
