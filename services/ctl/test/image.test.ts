/** From a PNG to a tensor: every kind of pixel, resizing, layouts, and files that are no images. */

import { type ImageData, encode } from "fast-png";
import { describe, expect, test } from "vitest";
import { decodePng, type ImageSpec, layOut, packImage, type Pixels, resize } from "../src/image.ts";

const png = (image: Omit<ImageData, "data"> & { data: number[] }): Uint8Array =>
  encode({
    ...image,
    data: image.depth === 16 ? Uint16Array.from(image.data) : Uint8Array.from(image.data),
  });

const grey = (width: number, height: number, values: number[]): Pixels => ({
  width,
  height,
  channels: 1,
  values: Float32Array.from(values),
});

const rounded = (values: Float32Array): number[] =>
  [...values].map((value) => Math.round(value * 1000) / 1000);

const spec = (change: Partial<ImageSpec> = {}): ImageSpec => ({
  width: 2,
  height: 1,
  channels: 3,
  layout: "NCHW",
  scale: 1,
  offset: 0,
  ...change,
});

describe("decoding", () => {
  test("8-bit grey", () => {
    const file = png({ width: 2, height: 1, channels: 1, data: [0, 255] });
    expect(rounded(decodePng(file, 1).values)).toEqual([0, 1]);
  });

  test("grey as RGB repeats itself", () => {
    const file = png({ width: 1, height: 1, channels: 1, data: [51] });
    expect(rounded(decodePng(file, 3).values)).toEqual([0.2, 0.2, 0.2]);
  });

  test("RGB as grey is weighted as the eye sees it", () => {
    const file = png({ width: 3, height: 1, channels: 3, data: [255, 0, 0, 0, 255, 0, 0, 0, 255] });
    expect(rounded(decodePng(file, 1).values)).toEqual([0.299, 0.587, 0.114]);
  });

  test("16-bit grey", () => {
    const file = png({ width: 2, height: 1, channels: 1, depth: 16, data: [65_535, 13_107] });
    expect(rounded(decodePng(file, 1).values)).toEqual([1, 0.2]);
  });

  test("what is transparent is white", () => {
    const file = png({ width: 2, height: 1, channels: 4, data: [0, 0, 0, 0, 0, 0, 0, 128] });
    expect(rounded(decodePng(file, 1).values)).toEqual([1, 0.498]);
    const faint = png({ width: 1, height: 1, channels: 2, data: [0, 51] });
    expect(rounded(decodePng(faint, 1).values)).toEqual([0.8]);
  });

  test("1-bit grey, whose rows begin at whole bytes", () => {
    const data = [0b10000000, 0b10000000, 0b01111111, 0b00000000];
    const file = png({ width: 9, height: 2, channels: 1, depth: 1, data });
    const bits = rounded(decodePng(file, 1).values).join("");
    expect(bits).toBe("100000001011111110");
  });

  test("what is no PNG, cut off or enormous is refused with a remedy", () => {
    expect(() => decodePng(new TextEncoder().encode("GIF89a".padEnd(40)), 1)).toThrow(/not a PNG/);
    expect(() => decodePng(new Uint8Array(3), 1)).toThrow(/not a PNG/);
    const file = png({ width: 2, height: 2, channels: 1, data: [0, 1, 2, 3] });
    expect(() => decodePng(file.subarray(0, file.length - 20), 1)).toThrow(/damaged/);
    const enormous = file.slice();
    new DataView(enormous.buffer, enormous.byteOffset).setUint32(16, 2 ** 31);
    expect(() => decodePng(enormous, 1)).toThrow(/more than \d+ pixels/);
  });
});

describe("resizing", () => {
  test("halving averages four pixels", () => {
    const half = resize(grey(4, 2, [0, 1, 1, 1, 0, 1, 0, 0]), 2, 1);
    expect(rounded(half.values)).toEqual([0.5, 0.5]);
  });

  test("pixels that are cut through count by their share", () => {
    expect(rounded(resize(grey(3, 1, [0, 1, 0]), 2, 1).values)).toEqual([0.333, 0.333]);
  });

  test("enlarging repeats pixels", () => {
    expect(rounded(resize(grey(2, 1, [0, 1]), 4, 2).values)).toEqual([0, 0, 1, 1, 0, 0, 1, 1]);
  });

  test("the mean of the picture stays what it was, for any sizes", () => {
    for (const [width, height, toWidth, toHeight] of [
      [7, 5, 3, 2],
      [64, 48, 8, 8],
      [3, 3, 8, 8],
      [1, 1, 5, 9],
    ] as const) {
      const values = Array.from({ length: width * height }, (_, at) => ((at * 37) % 101) / 100);
      const mean = (numbers: readonly number[]): number =>
        numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
      const resized = resize(grey(width, height, values), toWidth, toHeight);
      expect(mean([...resized.values])).toBeCloseTo(mean(values), 5);
    }
  });

  test("channels do not mix", () => {
    const pixels: Pixels = { ...grey(2, 1, [1, 0, 0, 0, 1, 0]), channels: 3 };
    expect(rounded(resize(pixels, 1, 1).values)).toEqual([0.5, 0.5, 0]);
  });
});

describe("laying out", () => {
  const pixels: Pixels = { ...grey(2, 1, [1, 2, 3, 4, 5, 6]), channels: 3 };

  test("NCHW holds one channel after another", () => {
    expect([...layOut(pixels, spec())]).toEqual([1, 4, 2, 5, 3, 6]);
  });

  test("NHWC holds one pixel after another", () => {
    expect([...layOut(pixels, spec({ layout: "NHWC" }))]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("scale and offset can turn a picture into its negative", () => {
    const negative = layOut(grey(2, 1, [0, 1]), spec({ channels: 1, scale: -16, offset: 16 }));
    expect([...negative]).toEqual([16, 0]);
  });

  test("types of whole numbers are rounded and cut, types without a meaning are refused", () => {
    expect([...packImage(Float32Array.of(-3, 1.6, 300), "UINT8")]).toEqual([0, 2, 255]);
    expect(packImage(Float32Array.of(1.5), "FP32")).toEqual(
      new Uint8Array(Float32Array.of(1.5).buffer),
    );
    expect(packImage(Float32Array.of(1.5), "FP64")).toHaveLength(8);
    expect(() => packImage(Float32Array.of(1), "BYTES")).toThrow(/BYTES/);
  });
});
