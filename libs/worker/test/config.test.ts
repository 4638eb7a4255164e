/** The configuration of a worker. */

import { availableParallelism } from "node:os";
import { ConfigError, readConfig } from "@millrace/runtime";
import { describe, expect, test } from "vitest";
import { workerFields } from "../src/index.ts";

const read = (env: Record<string, string> = {}) =>
  readConfig(workerFields("cpu-worker", "cpu"), env);

describe("the configuration of a worker", () => {
  test("takes all cores and the role's device when nothing is said", () => {
    expect(read()).toMatchObject({
      device: "cpu",
      deviceIndex: 0,
      deviceMemoryBytes: undefined,
      threads: availableParallelism(),
      cacheBytesMax: 10 * 1024 ** 3,
      drainMs: 25_000,
    });
  });

  test("reads sizes with units and without", () => {
    const sizes = ["4194304", "512MiB", "24GiB", "1.5GiB", "2 TiB"].map(
      (size) => read({ MILLRACE_DEVICE_MEMORY: size }).deviceMemoryBytes,
    );
    expect(sizes).toEqual([
      4_194_304,
      512 * 1024 ** 2,
      24 * 1024 ** 3,
      1.5 * 1024 ** 3,
      2 * 1024 ** 4,
    ]);
  });

  test("names the variable and what was expected of a size that is none", () => {
    for (const size of ["24GB", "-1", "0", "lots", "1e9", "5000000000TiB", "MiB"]) {
      const reading = (): unknown => read({ MILLRACE_DEVICE_MEMORY: size });
      expect(reading).toThrow(ConfigError);
      expect(reading).toThrow(/MILLRACE_DEVICE_MEMORY is .*: expected a size in bytes/);
    }
  });

  test("refuses a device that there is none of, and a drain past what the process is given", () => {
    const reading = (): unknown => read({ MILLRACE_DEVICE: "tpu", MILLRACE_DRAIN_MS: "60000" });
    expect(reading).toThrow(/MILLRACE_DEVICE is "tpu"[^]*MILLRACE_DRAIN_MS is "60000"/);
  });
});
