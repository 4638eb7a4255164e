/**
 * The test projects. `unit` and `repository` need nothing but Node; `e2e` starts real clusters, and
 * `sim` runs the cores on virtual time. `npx vitest run --project unit libs/std` runs one library.
 */

import { defineConfig } from "vitest/config";

const project = (name: string, include: string[], timeoutMs: number) => ({
  test: { name, include, testTimeout: timeoutMs, hookTimeout: timeoutMs },
});

export default defineConfig({
  test: {
    projects: [
      project("unit", ["{libs,services}/*/test/**/*.test.ts"], 20_000),
      project("repository", ["test/{layers,tidy,bench,docs}/**/*.test.ts"], 30_000),
      project("sim", ["test/sim/**/*.test.ts"], 120_000),
      project("e2e", ["test/e2e/**/*.test.ts"], 120_000),
    ],
  },
});
