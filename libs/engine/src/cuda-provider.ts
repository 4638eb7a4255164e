/**
 * onnxruntime's CUDA provider, which its npm package leaves out for its size. The npm package's own
 * install script takes it from NuGet; the wheels of `onnxruntime-gpu` on PyPI hold it as well, and
 * theirs is what was run on a GPU. It is used as it is, from a pinned wheel.
 */

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { formatBytes, present } from "@millrace/std";
import { unzipSync } from "fflate";

const PROVIDER = "libonnxruntime_providers_cuda.so";
const SHARED = "libonnxruntime_providers_shared.so";
const WHEEL_FOLDER = "onnxruntime/capi";

export interface Wheel {
  readonly url: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** Of this version of onnxruntime, built for CUDA 13 and cuDNN 9. */
export const PROVIDER_VERSION = "1.30.0";
const PYPI = "https://files.pythonhosted.org/packages";
const NAME = `onnxruntime_gpu-${PROVIDER_VERSION}-cp312-cp312`;
/** By which PyPI knows a file. */
const [X64_HASH, ARM64_HASH] = [
  "9e/80/d96143329dbe925d434b016c890a5caa785fac8e14a1570e5d6818b63545",
  "39/2b/97887b3f49ddad0d22b596a1e32a38a8e029cad81c6342da6d709cdc381c",
];
const WHEELS: Readonly<Record<string, Wheel>> = {
  "linux-x64": {
    url: `${PYPI}/${X64_HASH}/${NAME}-manylinux_2_28_x86_64.whl`,
    sha256: "6acc0f4b3d5ac5f2984432faa59dd8fcce6775f8b43a7140afa0f322c7a703b1",
    bytes: 246_685_715,
  },
  "linux-arm64": {
    url: `${PYPI}/${ARM64_HASH}/${NAME}-manylinux_2_34_aarch64.whl`,
    sha256: "12af352b24145b3480794fcf327d313a240550e772a07fb182390872c1a642fc",
    bytes: 205_731_632,
  },
};
const PLATFORM = `${process.platform}-${process.arch}`;
const REPORT_EVERY_MS = 1_000;
const LDD_MS_MAX = 10_000;

export interface InstallOptions {
  /** Undefined where none is pinned for this platform. */
  readonly wheel?: Wheel | undefined;
  /** Default: beside onnxruntime's own library. */
  readonly directory?: string;
  readonly report: (line: string) => void;
}

/**
 * Puts the provider beside onnxruntime, or nothing at all.
 * @returns its path; {@link missingLibraries} tells whether it can load here.
 * @throws Error where none is pinned for this platform, or the download is not what is pinned.
 */
export async function installCudaProvider({
  wheel = WHEELS[PLATFORM],
  directory = libraryFolder(),
  report,
}: InstallOptions): Promise<string> {
  if (wheel === undefined) {
    throw new Error(`no CUDA provider is pinned for ${PLATFORM}; there are ${platforms()}`);
  }
  const archive = await download(wheel, report);
  const wanted = [SHARED, PROVIDER].map((name) => `${WHEEL_FOLDER}/${name}`);
  report("unpacking");
  const files = unzipSync(archive, { filter: ({ name }) => wanted.includes(name) });
  const absent = wanted.find((name) => files[name] === undefined);
  if (absent !== undefined) throw new Error(`${wheel.url}: there is no ${absent} in it`);
  // The provider last: it is what is looked for.
  for (const name of wanted) {
    const target = path.join(directory, path.basename(name));
    await writeFile(`${target}.part`, present(files[name], name));
    await rename(`${target}.part`, target);
  }
  return path.join(directory, PROVIDER);
}

const platforms = (): string => Object.keys(WHEELS).join(", ");

async function download({ url, sha256, bytes }: Wheel, report: InstallOptions["report"]) {
  const response = await fetch(url);
  if (!response.ok || response.body === null) throw new Error(`${url}: HTTP ${response.status}`);
  const archive = new Uint8Array(bytes);
  const hash = createHash("sha256");
  let received = 0;
  let reportedAtMs = performance.now();
  for await (const chunk of response.body) {
    if (received + chunk.length > bytes) throw new Error(`${url}: larger than ${bytes} bytes`);
    archive.set(chunk, received);
    hash.update(chunk);
    received += chunk.length;
    if (performance.now() - reportedAtMs < REPORT_EVERY_MS) continue;
    reportedAtMs = performance.now();
    report(`${formatBytes(received)} of ${formatBytes(bytes)}`);
  }
  const digest = hash.digest("hex");
  if (digest !== sha256) throw new Error(`${url}: its SHA-256 is ${digest}, not ${sha256}`);
  return archive;
}

/** Where the provider belongs, on the platforms that have one of its kind. */
export const cudaProviderPath = (): string => path.join(libraryFolder(), PROVIDER);

export const cudaProviderInstalled = (): boolean => existsSync(cudaProviderPath());

function libraryFolder(): string {
  const root = createRequire(import.meta.url).resolve("onnxruntime-node/package.json");
  return path.join(path.dirname(root), "bin/napi-v6", process.platform, process.arch);
}

/** Libraries that a shared object needs and this machine lacks, as its loader sees it. */
export function missingLibraries(file: string): readonly string[] {
  try {
    return parseLdd(execFileSync("ldd", [file], { encoding: "utf8", timeout: LDD_MS_MAX }));
  } catch {
    return []; // Without ldd nothing is known.
  }
}

/** The names in lines such as `libcublas.so.13 => not found`. */
export const parseLdd = (text: string): readonly string[] =>
  [...text.matchAll(/^\s*(\S+) => not found/gm)].map(([, name = ""]) => name);
