/** I3: no batch exceeds its model's limit; no device exceeds its memory. */

import type { Checker, Report } from "./checker.ts";

export function checkDeviceLimits(report: Report): Checker {
  const running = new Map<string, string>();
  return {
    invariant: "I3",
    handlers: {
      runStarted({ device, batch, rows, rowsMax }, atUs) {
        if (rows > rowsMax) {
          report(atUs, `${device} ran ${rows} rows of batch ${batch}, at most ${rowsMax} may`);
        }
        const other = running.get(device);
        if (other !== undefined) {
          report(atUs, `${device} began batch ${batch} while batch ${other} was running`);
        }
        running.set(device, batch);
      },
      runEnded({ device }) {
        running.delete(device);
      },
      processEnded({ process }) {
        running.delete(process);
      },
      memoryRead({ device, usedBytes, totalBytes }, atUs) {
        if (usedBytes <= totalBytes) return;
        report(atUs, `${device} needed ${usedBytes} bytes of memory and has ${totalBytes}`);
      },
    },
  };
}
