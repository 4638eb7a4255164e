/** Getting the pinned release: from a server on loopback, with its checksum. */

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { aptWay, releaseWay, SERVER_VERSION, type Way } from "../src/index.ts";

const FOLDER = `nats-server-v${SERVER_VERSION}-linux-amd64`;

let directory: string;
let server: Server;
let origin: string;
let archive: Buffer;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-ways-"));
  await mkdir(join(directory, FOLDER));
  await writeFile(join(directory, FOLDER, "nats-server"), "the program");
  archive = execFileSync("tar", ["-czf", "-", "-C", directory, FOLDER]);
  server = createServer((request, response) => {
    const known = request.url === `/v${SERVER_VERSION}/${FOLDER}.tar.gz`;
    response.writeHead(known ? 200 : 404).end(known ? archive : undefined);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await rm(directory, { recursive: true, force: true });
});

/** Runs a way in a folder of its own; what it left is the result. */
async function use(way: Way): Promise<string> {
  const target = await mkdtemp(join(directory, "target-"));
  await way.attempt({ directory: target, report: () => {}, signal: AbortSignal.timeout(10_000) });
  return readFile(join(target, "nats-server"), "utf8");
}

const digestOf = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

describe("the release", () => {
  test("is unpacked when it has the pinned digest", async () => {
    const checksums = { "linux-amd64": digestOf(archive) };
    expect(await use(releaseWay("linux-amd64", origin, checksums))).toBe("the program");
  });

  test("is refused when one byte differs", async () => {
    const checksums = { "linux-amd64": digestOf(archive) };
    archive = Buffer.concat([archive, Buffer.from([0])]);
    await expect(use(releaseWay("linux-amd64", origin, checksums))).rejects.toThrow(
      /^the archive's SHA-256 is [0-9a-f]{64}, not [0-9a-f]{64}$/,
    );
  });

  test("is not even asked for where no digest is pinned", async () => {
    await expect(use(releaseWay("sunos-sparc", origin))).rejects.toThrow(
      "no checksum is pinned for sunos-sparc",
    );
  });

  test("that is missing is an error with the address and the status", async () => {
    const way = releaseWay("linux-arm64", origin, { "linux-arm64": digestOf(archive) });
    await expect(use(way)).rejects.toThrow(/linux-arm64\.tar\.gz: HTTP 404/);
  });
});

describe("the distribution's package", () => {
  test("is not tried where there is no such distribution", async () => {
    const osRelease = join(directory, "os-release");
    await writeFile(osRelease, 'NAME="Alpine Linux"\nID=alpine\n');
    await expect(use(aptWay(osRelease))).rejects.toThrow("this is neither Debian nor Ubuntu");
  });
});
