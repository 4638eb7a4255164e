/** The driver that carries the plan out, from the configuration; undefined where nobody does. */

import { readFileSync } from "node:fs";
import type { PriceBook } from "@millrace/costing";
import {
  checkPools,
  type FileDriver,
  type FleetDriver,
  openFleet as openFleetFile,
  parseFleetFile,
  poolKey,
  type Pool,
} from "@millrace/fleet";
import { ConfigError, nowUs } from "@millrace/runtime";
import type { NatsConnection } from "@nats-io/transport-node";
import { AgentFleet } from "./agent-fleet.ts";
import type { ForecasterConfig } from "./config.ts";
import { FencedFleet } from "./fenced-fleet.ts";

export interface OpenFleetOptions {
  readonly config: ForecasterConfig;
  readonly connection: NatsConnection;
  /** What the price book offers; the agent has all of it. */
  readonly offered: readonly Pool[];
  readonly epoch: () => number | undefined;
}

/** @throws ConfigError naming the file and everything that is wrong in it. */
export async function openFleet(options: OpenFleetOptions): Promise<FleetDriver | undefined> {
  const { config, epoch } = options;
  switch (config.fleet) {
    case "none":
      return undefined;
    case "agent":
      return openAgent(options);
    case "docker":
    case "kubernetes":
    case "command":
      return new FencedFleet(await openFromFile(config.fleet, config.fleetFile, epoch), epoch);
  }
}

function openAgent({ config, connection, epoch, offered }: OpenFleetOptions): AgentFleet {
  const problems = checkPools(offered);
  if (problems.length > 0) {
    throw new ConfigError(`MILLRACE_PRICE_BOOK, whose offers are pools: ${problems.join("; ")}`);
  }
  return new AgentFleet({ connection, agent: config.fleetAgent, pools: offered, epoch });
}

/**
 * What of the price book the driver can start: workers are spread over no zone where it has none.
 * @throws ConfigError where that is nothing.
 */
export function offersOf(prices: PriceBook, pools: readonly Pool[]): PriceBook {
  const has = new Set(pools.map(poolKey));
  const offers = prices.offers.filter((offer) => has.has(poolKey(offer)));
  const kinds = prices.kinds.filter(({ kind }) => offers.some((offer) => offer.kind === kind));
  if (kinds.length > 0) return { ...prices, kinds, offers };
  throw new ConfigError(
    `MILLRACE_FLEET_FILE: its pools are ${[...has].join(", ")}; ${prices.name} has none of them`,
  );
}

async function openFromFile(
  driver: FileDriver,
  path: string | undefined,
  epoch: () => number | undefined,
): Promise<FleetDriver> {
  if (path === undefined) {
    throw new ConfigError(`MILLRACE_FLEET_FILE is not set: expected a fleet file for ${driver}`);
  }
  const file = parseFleetFile(driver, readText(path));
  if (!file.ok) throw new ConfigError(`${path}: ${file.error.join("; ")}`);
  try {
    return await openFleetFile(file.value, nowUs, epoch);
  } catch (error) {
    throw new ConfigError(`MILLRACE_FLEET=${driver}: ${(error as Error).message}`);
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigError(`MILLRACE_FLEET_FILE: ${(error as Error).message}`);
  }
}
