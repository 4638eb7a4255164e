/** A PNG as the tensor of an image model: composed on white, resized by averaging, scaled. */

import { convertIndexedToRgb, decode, type DecodedPng } from "fast-png";
import type { Datatype, ModelSpec } from "@millrace/protocol";
import { CommandError } from "./failure.ts";

export type ImageSpec = NonNullable<ModelSpec["image"]>;

/** Pixels in rows from the top left, `channels` values of 0 to 1 each: 1 is grey, 3 is RGB. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  readonly values: Float32Array;
}

/** Above this a picture is a mistake or an attack: decoding takes some 20 bytes a pixel. */
const PIXELS_MAX = 64 * 1024 * 1024;

/** @throws CommandError for what is not a PNG, or is too large. */
export function decodePng(file: Uint8Array, channels: 1 | 3): Pixels {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  // The header is the first chunk: width and height stand behind signature, length and type.
  if (file.length < 24 || view.getUint32(0) !== 0x89504e47) {
    throw new CommandError("the image is not a PNG", "convert it first: magick IMAGE image.png");
  }
  if (view.getUint32(16) * view.getUint32(20) > PIXELS_MAX) {
    throw new CommandError(`the image has more than ${PIXELS_MAX} pixels`, "make it smaller first");
  }
  try {
    return toPixels(decode(file), channels);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandError(`the PNG is damaged: ${reason}`, "save it again");
  }
}

function toPixels(png: DecodedPng, channels: 1 | 3): Pixels {
  const { width, height } = png;
  const source = samplesOf(png);
  const values = new Float32Array(width * height * channels);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const at = pixel * source.channels;
    const sample = (channel: number): number => (source.data[at + channel] as number) / source.max;
    const alpha = source.channels % 2 === 0 ? sample(source.channels - 1) : 1;
    const onWhite = (channel: number): number => sample(channel) * alpha + 1 - alpha;
    const [red, green, blue] =
      source.channels < 3
        ? [onWhite(0), onWhite(0), onWhite(0)]
        : [onWhite(0), onWhite(1), onWhite(2)];
    // ITU-R BT.601, as most image libraries make grey.
    if (channels === 1) values[pixel] = 0.299 * red + 0.587 * green + 0.114 * blue;
    else values.set([red, green, blue], pixel * 3);
  }
  return { width, height, channels, values };
}

interface Samples {
  readonly data: Uint8Array | Uint8ClampedArray | Uint16Array;
  /** Grey, grey and alpha, RGB, or RGB and alpha. */
  readonly channels: number;
  readonly max: number;
}

function samplesOf(png: DecodedPng): Samples {
  const { palette } = png;
  if (palette !== undefined) {
    return { data: convertIndexedToRgb(png), channels: palette[0]?.length ?? 3, max: 255 };
  }
  if (png.depth >= 8) {
    return { data: png.data, channels: png.channels, max: png.depth === 16 ? 65_535 : 255 };
  }
  return { data: unpack(png), channels: 1, max: 2 ** png.depth - 1 };
}

/** Grey of less than 8 bits: several pixels share a byte, and every row begins a new one. */
function unpack({ width, height, depth, data }: DecodedPng): Uint8Array {
  const rowBytes = Math.ceil((width * depth) / 8);
  const unpacked = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const byte = data[y * rowBytes + ((x * depth) >> 3)] as number;
      const shift = 8 - depth - ((x * depth) & 7);
      unpacked[y * width + x] = (byte >> shift) & (2 ** depth - 1);
    }
  }
  return unpacked;
}

/** The share of a source line that falls into a target line. */
interface Span {
  readonly from: number;
  readonly weights: readonly number[];
}

/** Box average: every target pixel is the mean of the source area that it covers. */
export function resize(pixels: Pixels, width: number, height: number): Pixels {
  if (pixels.width === width && pixels.height === height) return pixels;
  const { channels } = pixels;
  const columns = spans(pixels.width, width);
  const rows = spans(pixels.height, height);
  const values = new Float32Array(width * height * channels);
  for (const [y, row] of rows.entries()) {
    for (const [x, column] of columns.entries()) {
      for (let channel = 0; channel < channels; channel++) {
        values[(y * width + x) * channels + channel] = average(pixels, row, column, channel);
      }
    }
  }
  return { width, height, channels, values };
}

function average(pixels: Pixels, row: Span, column: Span, channel: number): number {
  let sum = 0;
  for (const [down, rowWeight] of row.weights.entries()) {
    const line = (row.from + down) * pixels.width;
    for (const [right, columnWeight] of column.weights.entries()) {
      const at = (line + column.from + right) * pixels.channels + channel;
      sum += rowWeight * columnWeight * (pixels.values[at] as number);
    }
  }
  return sum;
}

/** Weights add up to 1 in every span. */
function spans(source: number, target: number): readonly Span[] {
  const scale = source / target;
  return Array.from({ length: target }, (_, at) => {
    const [start, end] = [at * scale, Math.min((at + 1) * scale, source)];
    const from = Math.min(Math.floor(start), source - 1);
    const weights: number[] = [];
    for (let line = from; line < end; line++) {
      weights.push((Math.min(line + 1, end) - Math.max(line, start)) / (end - start));
    }
    return { from, weights };
  });
}

/** The tensor's values in the model's layout and scale. */
export function layOut(pixels: Pixels, spec: ImageSpec): Float32Array {
  const { width, height, channels, values } = pixels;
  const laidOut = new Float32Array(values.length);
  for (let at = 0; at < values.length; at++) {
    const channel = at % channels;
    const pixel = (at - channel) / channels;
    const to = spec.layout === "NHWC" ? at : channel * width * height + pixel;
    laidOut[to] = (values[at] as number) * spec.scale + spec.offset;
  }
  return laidOut;
}

/** Whole numbers are rounded and cut to the range of the type. */
export function packImage(values: Float32Array, datatype: Datatype): Uint8Array {
  if (datatype === "FP32") {
    return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  }
  if (datatype === "FP64") return new Uint8Array(Float64Array.from(values).buffer);
  if (datatype === "UINT8") return new Uint8Array(Uint8ClampedArray.from(values).buffer);
  throw new CommandError(
    `--image cannot make a tensor of ${datatype}`,
    "give the tensor itself with --input NAME=FILE",
  );
}
