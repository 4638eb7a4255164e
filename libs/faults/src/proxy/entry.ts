/** Where the program of the fault proxy is, for whoever supervises it. */

import { fileURLToPath } from "node:url";

export const PROXY_ENTRY = fileURLToPath(new URL("./process.ts", import.meta.url));
