/**
 * Finds the guilty item of a run that failed, so that it fails alone: a part is split until what
 * fails is one item, and its mates' success shows whether the input or the device is to blame.
 */

import { ERRORS, type ErrorCode, type Fault, fault } from "@millrace/protocol";
import type { Batch, HeldItem, Part } from "./batch.ts";

/** Up to this many items are run one by one: halving would take as many runs. */
const SINGLES_MAX = 8;

/**
 * What becomes of a part whose run failed without poisoning the device. False: the whole part fails
 * with what it met. True: its pieces stand on the batch's list, or, of a single item, the failure
 * waits for what its mates do.
 */
export function retries(batch: Batch, part: Part, met: Fault, runsMax: number): boolean {
  if (!dependsOnItems(met.code)) return false;
  const [only] = part;
  if (part.length === 1 && only !== undefined) {
    batch.failures.push({ held: only, fault: met });
    return true;
  }
  if (batch.runs >= runsMax) return false; // I6
  batch.parts?.push(...split(part, met.code).reverse());
  return true;
}

/**
 * Before the verdict on items that failed and had no mate that ran: an input that is known to run
 * is run next, once. False where there is none, or no need of it.
 */
export function asksForProof(batch: Batch, witness: HeldItem | undefined): boolean {
  if (batch.proof !== undefined || batch.ranRows > 0 || witness === undefined) return false;
  if (!batch.failures.some(({ fault: met }) => met.code === "EXECUTION_FAILED")) return false;
  batch.proof = [witness];
  batch.parts?.push(batch.proof);
  return true;
}

/**
 * What an item that failed alone is told. A failure to execute is the input's fault if its mates
 * ran, or the witness after it; else it may be the device's, and is worth another device.
 */
export function blame(batch: Batch, met: Fault): Fault {
  const deviceRuns = batch.ranRows > 0 || batch.proven;
  return met.code === "EXECUTION_FAILED" && deviceRuns ? fault("INPUT_REJECTED", met.message) : met;
}

/**
 * What a batch that has ended says of the device: that it runs the model, or that it does not, or
 * nothing. An item that fails by itself, without a witness, may be the cause as well as the device.
 */
export function verdictOn(batch: Batch): "runs" | "fails" | undefined {
  if (batch.ranRows > 0 || batch.proven) return "runs";
  if (batch.failures.length === 0) return undefined;
  const isShort = batch.failures.some(({ fault: met }) => met.code === "OUT_OF_MEMORY");
  return isShort || batch.proof !== undefined ? "fails" : undefined;
}

/** True where another set of items could fare better. */
const dependsOnItems = (code: ErrorCode): boolean =>
  code === "EXECUTION_FAILED" || code === "OUT_OF_MEMORY" || ERRORS[code].retry === "never";

/** Memory is short by size alone, so it is always halves there. */
function split(part: Part, code: ErrorCode): Part[] {
  if (part.length <= SINGLES_MAX && code !== "OUT_OF_MEMORY") return part.map((held) => [held]);
  const half = part.length >> 1;
  return [part.slice(0, half), part.slice(half)];
}
