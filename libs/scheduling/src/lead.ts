/**
 * How long before a device is expected to be free it gets a batch that is full. Late enough that
 * urgent work which comes meanwhile is not behind it; early enough that the device does not stand
 * idle while the batch is under way. How early that is depends on how far run times vary, and on
 * how busy the processors are that carry the messages: it is learned for each device.
 */

const LATER_US = 50;
const EARLIER_US = 500;

/**
 * The lead for the next batch. In balance one batch in eleven finds that the device stood idle.
 * @param ranDry a batch ended with nothing behind it, and a full one was there for the device.
 */
export function nextLeadUs(
  leadUs: number,
  ranDry: boolean,
  [least, most]: readonly [least: number, most: number],
): number {
  return Math.min(most, Math.max(least, ranDry ? leadUs + EARLIER_US : leadUs - LATER_US));
}
