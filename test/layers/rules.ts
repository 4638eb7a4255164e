/**
 * The layers as rules over what the packages really import. Each rule returns its violations as
 * sentences. base <- core <- sim; adapters know base and never a core; hosts and services know
 * base, core and adapters; services never know each other. Tests are held to the layer of their
 * package.
 */

import { builtinModules } from "node:module";
import type { Source } from "../support/source.ts";
import { type Layer, LAYERS, layerOf, type Package, type Workspace } from "../support/workspace.ts";

export const MAY_IMPORT: Readonly<Record<Layer, readonly Layer[]>> = {
  base: ["base"],
  core: ["base", "core"],
  sim: ["base", "core"],
  // One adapter may stand on another, as the supervised broker does; `checkCycles` bounds it.
  adapter: ["base", "adapter"],
  host: ["base", "core", "adapter"],
  service: ["base", "core", "adapter", "host"],
};

/** npm packages of the pure layers: computation only. Schemas are pure, so protocol has valibot. */
const PURE_NPM: Readonly<Record<string, readonly string[]>> = {
  "@millrace/protocol": ["valibot"],
  core: ["simple-statistics"],
};

/** Clocks, timers, chance, I/O and ambient state: what a pure layer may not name. */
export const IMPURE_GLOBALS = (
  "Date performance setTimeout setInterval setImmediate clearTimeout clearInterval " +
  "clearImmediate queueMicrotask Math.random crypto process console fetch WebSocket " +
  "Worker Buffer require global globalThis import.meta"
).split(" ");

const isTest = (source: Source, pack: Package): boolean =>
  source.path.startsWith(`${pack.folder}/test/`);

const isRelative = (specifier: string): boolean => specifier.startsWith(".");

const isBuiltin = (specifier: string): boolean =>
  specifier.startsWith("node:") || builtinModules.includes(specifier);

/** `@scope/name/deep` and `name/deep` belong to the packages `@scope/name` and `name`. */
export const packageOf = (specifier: string): string =>
  specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");

/** The packages that are imported, without builtins and the package's own files. */
function importedBy(pack: Package, wanted: "src" | "test"): Map<string, string> {
  const imported = new Map<string, string>();
  for (const source of pack.sources) {
    if (isTest(source, pack) !== (wanted === "test")) continue;
    for (const specifier of source.imports) {
      if (isRelative(specifier) || isBuiltin(specifier)) continue;
      imported.set(packageOf(specifier), source.path);
    }
  }
  return imported;
}

/**
 * Every package has one known layer, and what lies in `services` is a service and nothing else is.
 */
export function checkTags({ packages }: Workspace): string[] {
  return packages.flatMap((pack) => {
    const layer = layerOf(pack);
    if (layer === undefined) return [`${pack.name}: one tag of layer:${LAYERS.join("|")} wanted`];
    const inServices = pack.folder.startsWith("services/");
    if (inServices !== (layer === "service")) return [`${pack.name}: a ${layer} in ${pack.folder}`];
    const expected = `@millrace/${pack.folder.slice(pack.folder.indexOf("/") + 1)}`;
    return pack.name === expected ? [] : [`${pack.folder}: named ${pack.name}, not ${expected}`];
  });
}

export function checkOrder({ packages }: Workspace): string[] {
  const layers = new Map(packages.map((pack) => [pack.name, layerOf(pack)]));
  const violations: string[] = [];
  for (const pack of packages) {
    const own = layerOf(pack);
    if (own === undefined) continue;
    for (const wanted of ["src", "test"] as const) {
      for (const [name, path] of importedBy(pack, wanted)) {
        const other = layers.get(name);
        if (other === undefined || name === pack.name || MAY_IMPORT[own].includes(other)) continue;
        violations.push(`${path}: a ${own} imports ${name}, which is a ${other}`);
      }
    }
  }
  return violations;
}

/** No package reaches itself through its imports. */
export function checkCycles({ packages }: Workspace): string[] {
  const edges = new Map(
    packages.map((pack) => [pack.name, [...importedBy(pack, "src").keys()]] as const),
  );
  const done = new Set<string>();
  const violations: string[] = [];
  const walk = (name: string, path: readonly string[]): void => {
    const at = path.indexOf(name);
    if (at !== -1) violations.push(`cycle: ${[...path.slice(at), name].join(" -> ")}`);
    if (at !== -1 || done.has(name)) return;
    for (const next of edges.get(name) ?? []) walk(next, [...path, name]);
    done.add(name);
  };
  for (const pack of packages) walk(pack.name, []);
  return violations;
}

/** Base and core are computation: no clock, chance, timer, I/O, ambient state, or waiting. */
export function checkPurity({ packages }: Workspace): string[] {
  const violations: string[] = [];
  for (const pack of packages) {
    const layer = layerOf(pack);
    if (layer !== "base" && layer !== "core") continue;
    const npm = [...(PURE_NPM[pack.name] ?? []), ...(PURE_NPM[layer] ?? [])];
    for (const source of pack.sources.filter((file) => !isTest(file, pack))) {
      for (const name of IMPURE_GLOBALS) {
        if (source.globals.has(name)) violations.push(`${source.path}: a ${layer} uses ${name}`);
      }
      if (source.asynchronous) violations.push(`${source.path}: a ${layer} is asynchronous`);
      for (const specifier of source.imports) {
        const pure =
          isRelative(specifier) ||
          specifier.startsWith("@millrace/") ||
          npm.includes(packageOf(specifier));
        if (!pure) violations.push(`${source.path}: a ${layer} imports ${specifier}`);
      }
    }
  }
  return violations;
}

/**
 * What a package declares is what it imports: `dependencies` for src, `devDependencies` for test.
 */
export function checkDeclared({ packages, rootDevDependencies }: Workspace): string[] {
  const violations: string[] = [];
  const names = new Set(packages.map((pack) => pack.name));
  for (const pack of packages) {
    const inSrc = importedBy(pack, "src");
    const inTest = importedBy(pack, "test");
    inSrc.delete(pack.name);
    for (const name of [pack.name, ...inSrc.keys(), ...Object.keys(rootDevDependencies)]) {
      inTest.delete(name);
    }
    for (const [field, declared, imported] of [
      ["dependencies", pack.dependencies, inSrc],
      ["devDependencies", pack.devDependencies, inTest],
    ] as const) {
      for (const [name, path] of imported) {
        if (name in declared) continue;
        violations.push(`${pack.folder}: ${path} imports ${name}, not in ${field}`);
      }
      for (const [name, version] of Object.entries(declared)) {
        if (!imported.has(name)) violations.push(`${pack.folder}: ${field} has unused ${name}`);
        const exact = names.has(name) ? version === "*" : /^\d+\.\d+\.\d+/.test(version);
        if (!exact) violations.push(`${pack.folder}: ${name} at ${version}, "*" or exact wanted`);
      }
    }
  }
  return violations;
}

/** The only way into a package is its `src/index.ts`, and no relative path leaves a package. */
export function checkEntries({ packages }: Workspace): string[] {
  const violations: string[] = [];
  for (const pack of packages) {
    if (pack.exports !== "./src/index.ts") {
      violations.push(`${pack.folder}: exports ${JSON.stringify(pack.exports)}`);
    }
    for (const source of pack.sources) {
      for (const specifier of source.imports) {
        if (specifier.startsWith("@millrace/") && packageOf(specifier) !== specifier) {
          violations.push(`${source.path}: imports ${specifier}, past the package's entry`);
        }
        const resolved = new URL(specifier, `file:///${source.path}`).pathname;
        if (isRelative(specifier) && !resolved.startsWith(`/${pack.folder}/`)) {
          violations.push(`${source.path}: ${specifier} leaves the package`);
        }
      }
    }
  }
  return violations;
}

/** Tests of the whole use packages by their entries, and npm packages that the root declares. */
export function checkTests({ packages, rootDevDependencies, tests }: Workspace): string[] {
  const known = new Set([...packages.map(({ name }) => name), ...Object.keys(rootDevDependencies)]);
  return tests.flatMap((source) =>
    source.imports
      .filter((specifier) => {
        if (isBuiltin(specifier)) return false;
        if (isRelative(specifier)) {
          return !new URL(specifier, `file:///${source.path}`).pathname.startsWith("/test/");
        }
        const deep = specifier.startsWith("@millrace/") && packageOf(specifier) !== specifier;
        return deep || !known.has(packageOf(specifier));
      })
      .map((specifier) => `${source.path}: imports ${specifier}`),
  );
}

export const RULES = {
  checkTags,
  checkOrder,
  checkCycles,
  checkPurity,
  checkDeclared,
  checkEntries,
  checkTests,
} as const;
