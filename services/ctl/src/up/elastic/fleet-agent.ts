/**
 * Starts and ends workers on this machine as the forecaster says, over NATS. It belongs to `up`, so
 * that workers outlive a forecaster that is lost; and it obeys only the latest holder of the lease.
 */

import type { Msg } from "@nats-io/transport-node";
import type { Bus } from "@millrace/bus";
import type { FleetDriver, FleetResult } from "@millrace/fleet";
import {
  decodeJson,
  encodeJson,
  type FleetReply,
  type FleetRequest,
  fleetRequestSchema,
  subjects,
} from "@millrace/protocol";

/** The name under which forecasters find the agent of `up`. */
export const UP_AGENT = "up";

export function serveFleet(bus: Bus, driver: FleetDriver): void {
  let epoch = 0;
  const answer = async (bytes: Uint8Array): Promise<FleetReply> => {
    const request = decodeJson(fleetRequestSchema, bytes);
    if (!request.ok) return refused("MALFORMED", request.error.message);
    if (request.value.epoch < epoch) {
      return refused("REFUSED", `epoch ${request.value.epoch} is over: ${epoch} has spoken`);
    }
    epoch = request.value.epoch;
    return obey(driver, request.value);
  };
  const reply = async (message: Msg): Promise<void> => {
    const bytes = encodeJson(await answer(message.data));
    // Who asked asks again where the connection is gone by now.
    if (message.reply !== undefined) bus.publish(message.reply, bytes);
  };
  bus.connection.subscribe(subjects.fleet(UP_AGENT), {
    callback: (error, message) => {
      if (error === null) void reply(message);
    },
  });
}

async function obey(driver: FleetDriver, request: FleetRequest): Promise<FleetReply> {
  if (request.operation === "list") {
    const listed = await driver.list();
    if (!listed.ok) return listed;
    const { members, pools } = listed.value;
    return { ok: true, view: { members: [...members], pools: [...pools] } };
  }
  const { operation } = request;
  const done: FleetResult<void> =
    operation === "scale"
      ? await driver.scale(request.pool, request.count, request.retire)
      : await driver.replace(request.id);
  return done.ok ? { ok: true } : done;
}

const refused = (code: "MALFORMED" | "REFUSED", message: string): FleetReply => ({
  ok: false,
  error: { code, message, retry: false },
});
