/** The CUDA provider from a wheel: taken whole and checked, or not at all. */

import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { zipSync } from "fflate";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import {
  installCudaProvider,
  parseLdd,
  PROVIDER_VERSION,
  type Wheel,
} from "../src/cuda-provider.ts";

const PROVIDER = "libonnxruntime_providers_cuda.so";
const SHARED = "libonnxruntime_providers_shared.so";
const provider = Uint8Array.from({ length: 100_000 }, (_, at) => (at * 7919) % 251);
const shared = new TextEncoder().encode("shared");
const archive = zipSync({
  [`onnxruntime/capi/${PROVIDER}`]: provider,
  [`onnxruntime/capi/${SHARED}`]: shared,
  "onnxruntime/capi/other.so": shared,
});
const half = zipSync({ [`onnxruntime/capi/${SHARED}`]: shared });
const report = (): void => undefined;

let server: Server;
let directory: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    if (request.url === "/whole.whl") response.end(archive);
    else if (request.url === "/half.whl") response.end(half);
    else response.writeHead(404).end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
});
afterAll(() => server.close());
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "millrace-cuda-"));
});
afterEach(() => rm(directory, { recursive: true }));

const wheel = (name: string, content: Uint8Array, parts: Partial<Wheel> = {}): Wheel => ({
  url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/${name}`,
  sha256: createHash("sha256").update(content).digest("hex"),
  bytes: content.length,
  ...parts,
});

test("both of its files are put in place, and no other", async () => {
  const file = await installCudaProvider({ wheel: wheel("whole.whl", archive), directory, report });
  expect(file).toBe(path.join(directory, PROVIDER));
  expect((await readdir(directory)).sort()).toEqual([PROVIDER, SHARED]);
  expect(new Uint8Array(await readFile(file))).toEqual(provider);
  // A second time over what is there.
  await installCudaProvider({ wheel: wheel("whole.whl", archive), directory, report });
  expect(await readdir(directory)).toHaveLength(2);
});

test.each<[string, () => Wheel, RegExp]>([
  ["another digest", () => wheel("whole.whl", archive, { sha256: "0" }), /SHA-256 is [0-9a-f]{64}/],
  ["more bytes", () => wheel("whole.whl", archive, { bytes: 99 }), /larger than 99 bytes/],
  ["nothing", () => wheel("gone.whl", archive), /HTTP 404/],
])("a download of %s leaves nothing behind", async (_, pinned, words) => {
  await expect(installCudaProvider({ wheel: pinned(), directory, report })).rejects.toThrow(words);
  expect(await readdir(directory)).toEqual([]);
});

test("a wheel without the provider is refused, and none is looked for afterwards", async () => {
  const installing = installCudaProvider({ wheel: wheel("half.whl", half), directory, report });
  await expect(installing).rejects.toThrow(
    /there is no onnxruntime\/capi\/libonnx.*cuda\.so in it/,
  );
  expect(await readdir(directory)).toEqual([]);
});

test("it is pinned for the onnxruntime that is installed", () => {
  const own = createRequire(import.meta.url)("onnxruntime-node/package.json") as {
    version: string;
  };
  expect(own.version).toBe(PROVIDER_VERSION);
});

test("libraries that the loader does not find are named", () => {
  const said =
    "\tlibcudart.so.13 => not found\n\tlibm.so.6 => /lib/libm.so.6 (0x1)\n\tld.so (0x2)\n";
  expect(parseLdd(said)).toEqual(["libcudart.so.13"]);
  expect(parseLdd("\tstatically linked\n")).toEqual([]);
});
