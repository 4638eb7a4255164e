/** What messages of onnxruntime are taken to mean. */

import { describe, expect, test } from "vitest";
import { candidates, explain, missing } from "../src/device.ts";
import { fileFault, runFailure, shortMessage } from "../src/failure.ts";

describe("failed runs", () => {
  test.each([
    "CUDA failure 700: an illegal memory access was encountered ; GPU=0",
    "CUDA error 719: unspecified launch failure",
    "CUDNN failure 8: CUDNN_STATUS_EXECUTION_FAILED ... device-side assert triggered",
    "WebGPU device lost (2): Device was destroyed",
    "NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus",
  ])("the device is poisoned after: %s", (message) => {
    const poisoned = { fatal: true, fault: { code: "EXECUTION_FAILED" } };
    expect(runFailure(message, "cuda")).toMatchObject(poisoned);
    expect(runFailure(message, "cpu").fatal).toBe(false);
  });

  test.each([
    "Status Message: Failed to allocate memory for requested buffer of size 137438953472",
    "BFCArena::AllocateRawInternal Available memory of 0 is smaller than requested bytes of 1024",
    "CUDA failure 2: out of memory ; GPU=0 ; hostname=a",
    "std::bad_alloc",
    "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
    "Array buffer allocation failed",
  ])("memory was short in: %s", (message) => {
    expect(runFailure(message, "cuda")).toMatchObject({
      fatal: false,
      fault: { code: "OUT_OF_MEMORY" },
    });
  });

  test.each([
    "Name:'y/Gather' Status Message: indices element out of data bounds, idx=7001",
    "Name:'device lost' Status Message: indices element out of data bounds",
    "Got invalid dimensions for input: x for the following indices index: 1 Got: 700 Expected: 4",
  ])("the input is to blame in: %s", (message) => {
    expect(runFailure(message, "cuda")).toMatchObject({
      fatal: false,
      fault: { code: "EXECUTION_FAILED" },
    });
  });
});

test("a file is corrupt, needs what is not there, or is too large", () => {
  const code = (message: string): string => fileFault(message).code;
  expect(code("Failed to load model because protobuf parsing failed.")).toBe("MODEL_CORRUPT");
  expect(code("No graph was found in the protobuf.")).toBe("MODEL_CORRUPT");
  expect(code("This is an invalid model. Error: the graph is not acyclic.")).toBe("MODEL_CORRUPT");
  expect(
    code("This is an invalid model. Error No Op registered for Foo with domain_version of 21"),
  ).toBe("MODEL_UNSUPPORTED");
  expect(code("Could not find an implementation for Add(14) node with name 'y/Add'")).toBe(
    "MODEL_UNSUPPORTED",
  );
  expect(code("std::bad_alloc")).toBe("OUT_OF_MEMORY");
  expect(code("something new")).toBe("MODEL_UNSUPPORTED");
});

test("messages are one short line without places in onnxruntime's sources", () => {
  const message =
    "/onnxruntime_src/onnxruntime/core/utils.h:46 void onnxruntime::Check(int&, bool) " +
    "ONNX Runtime supports opset 26.\nmore";
  expect(shortMessage(message)).toBe("ONNX Runtime supports opset 26.");
  expect(shortMessage("x".repeat(1000))).toHaveLength(300);
});

test("devices are tried in order, and reasons say what to do", () => {
  expect(candidates("auto")).toEqual(["cuda", "webgpu", "emulated"]);
  expect(candidates("cpu")).toEqual(["cpu"]);
  expect(
    explain("cuda", "OrtSessionOptionsAppendExecutionProvider_Cuda: Failed to load shared library"),
  ).toContain("`millrace cuda`");
  expect(explain("webgpu", "Failed to get a WebGPU adapter: No supported adapters")).toContain(
    "Vulkan",
  );
  expect(explain("webgpu", "something new")).toBe("something new");
  expect(missing("webgpu", 0)).toBeUndefined();
  expect(missing("webgpu", 1)).toContain("first GPU");
  expect(missing("cpu", 1)).toBeUndefined();
});
