/** What a forecaster is told: defaults, and what is refused before anything connects. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Pool } from "@millrace/fleet";
import { ConfigError, readConfig } from "@millrace/runtime";
import type { NatsConnection } from "@nats-io/transport-node";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fields } from "../src/config.ts";
import { openFleet } from "../src/open-fleet.ts";

describe("variables", () => {
  test("are all optional, and act on nothing unless told to", () => {
    expect(readConfig(fields, {})).toMatchObject({
      fleet: "none",
      spot: false,
      advisory: false,
      workersMin: 1,
      budgetPerMonth: undefined,
    });
  });

  test.each([
    ["MILLRACE_FLEET", "swarm"],
    ["MILLRACE_BUDGET_MICROS_PER_MONTH", "0"],
    ["MILLRACE_BUDGET_MICROS_PER_MONTH", "12.5"],
    ["MILLRACE_WORKERS_MAX", "-1"],
    ["MILLRACE_CLOCK", "yesterday"],
  ])("%s=%s is refused by name", (name, value) => {
    expect(() => readConfig(fields, { [name]: value })).toThrow(name);
  });
});

describe("the fleet file", () => {
  let directory: string;
  beforeEach(async () => void (directory = await mkdtemp(join(tmpdir(), "millrace-fleet-"))));
  afterEach(() => rm(directory, { recursive: true, force: true }));

  /** A file's driver needs no connection; the test would fail where it asked for one. */
  const connection = undefined as unknown as NatsConnection;
  const opened = (environment: Record<string, string>, offered: readonly Pool[] = []) =>
    openFleet({
      config: readConfig(fields, environment),
      connection,
      offered,
      epoch: () => undefined,
    });

  test("is not read where nobody acts", async () => {
    expect(await opened({ MILLRACE_FLEET_FILE: "/nowhere" })).toBeUndefined();
  });

  test("gives the driver its pools", async () => {
    const path = join(directory, "fleet.yaml");
    await writeFile(
      path,
      "command: 'true'\npools:\n  - { kind: gpu, zone: east, lifecycle: spot }\n",
    );
    await using driver = await opened({ MILLRACE_FLEET: "command", MILLRACE_FLEET_FILE: path });
    expect(driver?.pools).toEqual([{ kind: "gpu", zone: "east", lifecycle: "spot" }]);
  });

  test("is not needed for an agent, whose pools are the offers and have names", async () => {
    const pool = { kind: "gpu", zone: "east", lifecycle: "spot" } as const;
    await using driver = await opened({ MILLRACE_FLEET: "agent" }, [pool]);
    expect(driver?.pools).toEqual([pool]);
    const wrong = opened({ MILLRACE_FLEET: "agent" }, [{ ...pool, kind: "g5.xlarge" }]);
    await expect(wrong).rejects.toThrow(/MILLRACE_PRICE_BOOK.*"g5.xlarge"/);
  });

  test("that is missing or not named is refused", async () => {
    await expect(opened({ MILLRACE_FLEET: "docker" })).rejects.toThrow(
      "MILLRACE_FLEET_FILE is not set",
    );
    const path = join(directory, "none.yaml");
    const missing = opened({ MILLRACE_FLEET: "docker", MILLRACE_FLEET_FILE: path });
    await expect(missing).rejects.toThrow(ConfigError);
  });

  test("is refused with every line that is wrong", async () => {
    const path = join(directory, "fleet.yaml");
    await writeFile(
      path,
      "command: run\npools:\n  - kind: gpu\n    zone: a b\n    lifecycle: rented\n",
    );
    const wrong = opened({ MILLRACE_FLEET: "command", MILLRACE_FLEET_FILE: path });
    await expect(wrong).rejects.toThrow(/line 4: pools\.0\.zone: .*line 5: pools\.0\.lifecycle/);
  });
});
