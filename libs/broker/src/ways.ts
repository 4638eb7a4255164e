/**
 * The ways to get a nats-server onto a machine that has none, in the order in which they are tried.
 * Each leaves one executable `nats-server` in the folder it is given, and installs nothing.
 */

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { formatBytes } from "@millrace/std";
import { SERVER_VERSION } from "./version.ts";

export interface Attempt {
  /** Empty, and this way's own. */
  readonly directory: string;
  readonly report: (line: string) => void;
  /** Aborted when the way's time is up. */
  readonly signal: AbortSignal;
}

export interface Way {
  /** What it does, for progress and for the list of what was tried. */
  readonly name: string;
  readonly limitMs: number;
  /** Puts `nats-server` into the folder. @throws Error saying why it could not. */
  readonly attempt: (attempt: Attempt) => Promise<void>;
}

const run = promisify(execFile);
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
const ARCHIVE_BYTES_MAX = 64 * 1024 * 1024;
const REPORT_EVERY_MS = 1_000;

/**
 * SHA-256 of the release archives of {@link SERVER_VERSION}. The Linux ones are those of the
 * official image's Dockerfile (nats-io/nats-docker, 2.14.x/alpine3.22); the macOS ones are those of
 * the release's SHA256SUMS as projects that pin the same archives have recorded them.
 */
const ARCHIVE_SHA256: Readonly<Record<string, string>> = {
  "linux-amd64": "5e3b603d47c447bda1f77f9ac16dbf91c90aac4ff3681f8fbbc7201e4ed99355",
  "linux-arm64": "673a98d3faa79dde3f9ebf16d6dfac36a5f694e7ad2015e4954dd7939c85cd4c",
  "darwin-amd64": "f95c98d6b6ed2b63c5681b46b092c9585c99767d547cf495730c329234625e96",
  "darwin-arm64": "ddd907854d9a2de834af133fa396915fe6442fe6d8909ae31390d1ea7a0fea50",
};

const RELEASES = "https://github.com/nats-io/nats-server/releases/download";

/** The pinned release archive, checked against the pinned digest before it is unpacked. */
export function releaseWay(
  platform: string = `${process.platform}-${process.arch === "x64" ? "amd64" : process.arch}`,
  releases: string = RELEASES,
  checksums: Readonly<Record<string, string>> = ARCHIVE_SHA256,
): Way {
  return {
    name: `release ${SERVER_VERSION} from GitHub`,
    limitMs: 120_000,
    async attempt({ directory, report, signal }) {
      const sha256 = checksums[platform];
      if (sha256 === undefined) throw new Error(`no checksum is pinned for ${platform}`);
      const folder = `nats-server-v${SERVER_VERSION}-${platform}`;
      const bytes = await download(
        `${releases}/v${SERVER_VERSION}/${folder}.tar.gz`,
        report,
        signal,
      );
      const digest = createHash("sha256").update(bytes).digest("hex");
      if (digest !== sha256) throw new Error(`the archive's SHA-256 is ${digest}, not ${sha256}`);
      const archive = join(directory, "release.tar.gz");
      await writeFile(archive, bytes);
      await run("tar", ["-xzf", archive, "-C", directory, `${folder}/nats-server`], { signal });
      await rename(join(directory, folder, "nats-server"), join(directory, "nats-server"));
    },
  };
}

async function download(
  url: string,
  report: (line: string) => void,
  signal: AbortSignal,
): Promise<Buffer> {
  const response = await fetch(url, { signal });
  if (!response.ok || response.body === null) throw new Error(`${url}: HTTP ${response.status}`);
  const expected = Number(response.headers.get("content-length") ?? 0);
  const chunks: Uint8Array[] = [];
  let received = 0;
  let reportedAtMs = performance.now();
  for await (const chunk of response.body) {
    chunks.push(chunk);
    received += chunk.length;
    if (received > ARCHIVE_BYTES_MAX) {
      throw new Error(`${url}: larger than ${formatBytes(ARCHIVE_BYTES_MAX)}`);
    }
    if (performance.now() - reportedAtMs < REPORT_EVERY_MS) continue;
    reportedAtMs = performance.now();
    report(`${formatBytes(received)}${expected > 0 ? ` of ${formatBytes(expected)}` : ""}`);
  }
  return Buffer.concat(chunks);
}

/** Built from source; Go checks the module against its checksum database. */
export function goWay(): Way {
  return {
    name: `go install of nats-server ${SERVER_VERSION}`,
    limitMs: 300_000,
    async attempt({ directory, report, signal }) {
      await run("go", ["version"], { signal }).catch(() => {
        throw new Error("there is no go on PATH");
      });
      report("building, about a minute");
      await run("go", ["install", `github.com/nats-io/nats-server/v2@v${SERVER_VERSION}`], {
        cwd: directory,
        // Off: a go.mod or workspace above this folder must not decide what is built.
        env: { ...process.env, GOBIN: directory, GOWORK: "off", CGO_ENABLED: "0" },
        maxBuffer: OUTPUT_BYTES_MAX,
        signal,
      });
    },
  };
}

/** A newer suite of the distribution than the machine's own; its keyring is here already. */
const SUITES = {
  debian: {
    uri: "http://deb.debian.org/debian",
    suite: "sid",
    component: "main",
    keyring: "/usr/share/keyrings/debian-archive-keyring.gpg",
  },
  ubuntu: {
    uri:
      process.arch === "x64"
        ? "http://archive.ubuntu.com/ubuntu"
        : "http://ports.ubuntu.com/ubuntu-ports",
    suite: "devel",
    component: "universe",
    keyring: "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
  },
} as const;

/**
 * Fetches one package of Debian's or Ubuntu's development suite and unpacks it. apt works on lists
 * and a cache of its own below the folder, so the machine's package state is neither read nor
 * changed; it verifies the archive's signature with the distribution's keyring.
 */
export function aptWay(osReleasePath = "/etc/os-release"): Way {
  return {
    name: "apt-get download from a newer suite",
    limitMs: 180_000,
    async attempt({ directory, report, signal }) {
      const distribution = await readDistribution(osReleasePath);
      if (distribution === undefined) throw new Error("this is neither Debian nor Ubuntu");
      const { uri, suite, component, keyring } = SUITES[distribution];
      await access(keyring).catch(() => {
        throw new Error(`${keyring} is missing`);
      });
      const lists = join(directory, "lists");
      const cache = join(directory, "cache");
      await mkdir(join(lists, "partial"), { recursive: true });
      await mkdir(join(cache, "archives", "partial"), { recursive: true });
      const sources = join(directory, "millrace.list");
      await writeFile(sources, `deb [signed-by=${keyring}] ${uri} ${suite} ${component}\n`);
      const options = [
        `Dir::Etc::sourcelist=${sources}`,
        "Dir::Etc::sourceparts=-",
        `Dir::State::lists=${lists}`,
        `Dir::Cache=${cache}`,
        "Acquire::Languages=none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
      ].flatMap((option) => ["-o", option]);
      const apt = async (...args: string[]): Promise<void> => {
        await run("apt-get", ["-q", ...options, ...args], {
          cwd: directory,
          maxBuffer: OUTPUT_BYTES_MAX,
          signal,
        });
      };
      report(`reading the package list of ${distribution} ${suite}`);
      await apt("update");
      report("fetching the package");
      await apt("download", "nats-server");
      const archive = (await readdir(directory)).find((name) => name.endsWith(".deb"));
      if (archive === undefined) throw new Error(`${suite} has no nats-server`);
      const unpacked = join(directory, "unpacked");
      await run("dpkg-deb", ["-x", join(directory, archive), unpacked], { signal });
      await rename(await findUnpacked(unpacked), join(directory, "nats-server"));
    },
  };
}

async function readDistribution(path: string): Promise<keyof typeof SUITES | undefined> {
  const text = await readFile(path, "utf8").catch(() => "");
  const id = /^ID="?(\w+)"?$/m.exec(text)?.[1];
  return id === "debian" || id === "ubuntu" ? id : undefined;
}

async function findUnpacked(unpacked: string): Promise<string> {
  for (const folder of ["usr/sbin", "usr/bin"]) {
    const path = join(unpacked, folder, "nats-server");
    const found = await access(path).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  throw new Error("the package holds no nats-server");
}

export const defaultWays = (): readonly Way[] => [releaseWay(), goWay(), aptWay()];
