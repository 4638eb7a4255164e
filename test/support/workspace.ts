/**
 * The repository as records: its files, and its packages with their layers and what they import.
 */

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseSource, type Source } from "./source.ts";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export const LAYERS = ["base", "core", "sim", "adapter", "host", "service"] as const;
export type Layer = (typeof LAYERS)[number];

export interface TextFile {
  /** Relative to the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

export interface Package {
  readonly name: string;
  /** Relative to the root: `libs/std`. */
  readonly folder: string;
  /** From the Nx tags, as they stand: a package without exactly one layer breaks a rule. */
  readonly tags: readonly string[];
  readonly exports: unknown;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly sources: readonly Source[];
}

export interface Workspace {
  readonly packages: readonly Package[];
  /** Test-only packages that the root declares for all. */
  readonly rootDevDependencies: Readonly<Record<string, string>>;
  /** What lies in `test`: it stands above every layer. */
  readonly tests: readonly Source[];
}

/** What git tracks or would track; deleted files that git still lists are left out. */
export function listFiles(): readonly string[] {
  const output = execFileSync("git", ["ls-files", "-z", "-co", "--exclude-standard"], {
    cwd: ROOT,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  return output.split("\0").filter((path) => path !== "" && existsSync(ROOT + path));
}

export const readText = (path: string): TextFile => ({
  path,
  text: readFileSync(ROOT + path, "utf8"),
});

export const isCode = (path: string): boolean => /\.(?:ts|mts|mjs|js)$/.test(path);

/** One package from its files. `manifest` is its parsed package.json. */
export function packageFrom(
  folder: string,
  manifest: Readonly<Record<string, unknown>>,
  files: readonly TextFile[],
): Package {
  const nx = manifest.nx as { readonly tags?: readonly string[] } | undefined;
  return {
    name: String(manifest.name),
    folder,
    tags: nx?.tags ?? [],
    exports: manifest.exports,
    dependencies: (manifest.dependencies ?? {}) as Record<string, string>,
    devDependencies: (manifest.devDependencies ?? {}) as Record<string, string>,
    sources: files.filter((file) => isCode(file.path)).map(parseSource),
  };
}

export function readWorkspace(): Workspace {
  const files = listFiles();
  const manifestOf = (path: string) => JSON.parse(readText(path).text) as Record<string, unknown>;
  const packages = files
    .filter((path) => /^(?:libs|services)\/[^/]+\/package\.json$/.test(path))
    .map((path) => {
      const folder = path.slice(0, -"/package.json".length);
      const own = files.filter((file) => file.startsWith(`${folder}/`) && isCode(file));
      return packageFrom(folder, manifestOf(path), own.map(readText));
    });
  const rootDevDependencies = (manifestOf("package.json").devDependencies ?? {}) as Record<
    string,
    string
  >;
  const tests = files.filter((path) => path.startsWith("test/") && isCode(path));
  return { packages, rootDevDependencies, tests: tests.map((path) => parseSource(readText(path))) };
}

/** The one layer of a package, or undefined where its tags do not say exactly one. */
export function layerOf(pack: Package): Layer | undefined {
  const layers = pack.tags.filter((tag) => tag.startsWith("layer:"));
  const layer = layers[0]?.slice("layer:".length);
  return layers.length === 1 ? LAYERS.find((known) => known === layer) : undefined;
}
