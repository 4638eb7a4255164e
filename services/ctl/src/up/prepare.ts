/** Makes sure that a nats-server is at hand before the tests ask for one, all at once. */

import { findServer } from "@millrace/broker";

try {
  await findServer({ report: (line) => console.error(line) });
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
