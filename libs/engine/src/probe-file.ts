/** The smallest model there is, to see whether a device starts and computes: y = x + x. */

import { ELEMENT, encodeModel, model, node, valueInfo } from "@millrace/onnx";

export const probeFile = (): Uint8Array =>
  encodeModel(
    model({
      node: [node("Add", ["x", "x"], ["y"])],
      input: [valueInfo("x", ELEMENT.FLOAT, [1])],
      output: [valueInfo("y", ELEMENT.FLOAT, [1])],
    }),
  );
