/** A log for tests: only what should never happen is shown. */

import type { Log } from "@millrace/std";

export const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: (_fields, message) => console.error(message),
};
