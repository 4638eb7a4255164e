/** Whether what was published has reached the broker. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Bus } from "@millrace/bus";

const FLUSH_MS = 500;

/** False where it may not have: the connection is down, broke meanwhile, or is too slow. */
export async function isFlushed(bus: Bus): Promise<boolean> {
  if (!bus.connected) return false;
  const { reconnects } = bus.counters;
  const late = sleep(FLUSH_MS, false, { ref: false });
  const answered = bus.connection.flush().then(
    () => true,
    () => false,
  );
  const flushed = await Promise.race([answered, late]);
  return flushed && bus.connected && bus.counters.reconnects === reconnects;
}
