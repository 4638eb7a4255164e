/**
 * The test projects. `unit` and `repository` start at most a broker; `e2e` starts real clusters,
 * after the others and one file at a time, so that its deadlines meet a machine of their own.
 * `containers` is skipped where no engine answers. `npx vitest run --project unit libs/std` runs
 * one library.
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
      {
        test: {
          ...project("e2e", ["test/e2e/**/*.test.ts"], 120_000).test,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...project("containers", ["test/containers/**/*.test.ts"], 180_000).test,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
          // Its container is of a registry's; what a test makes, it removes itself.
          env: { TESTCONTAINERS_RYUK_DISABLED: "true" },
        },
      },
    ],
  },
});
