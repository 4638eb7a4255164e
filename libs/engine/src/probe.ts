/** Starts a device in this thread, to see whether it computes. */

import { messageOf } from "./failure.ts";
import { layoutOf } from "./layout.ts";
import { probeFile } from "./probe-file.ts";
import { openSession, sampleFeeds, type SessionDevice } from "./session.ts";

/** Undefined when the device computes, else onnxruntime's message. */
export async function openProbe(device: SessionDevice): Promise<string | undefined> {
  const scalar = { datatype: "FP32" as const, shape: [1] };
  const layout = layoutOf({
    inputs: [{ name: "x", ...scalar }],
    outputs: [{ name: "y", ...scalar }],
    maxBatch: 0,
  });
  try {
    const session = await openSession(probeFile(), device);
    await session.run(sampleFeeds(layout, 1));
    await session.release();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
