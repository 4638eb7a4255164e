/**
 * Runs Millrace in a checkout that may have nothing installed yet, on whatever Node (>= 20) is at
 * hand: installs what is missing, then hands over to the Node that the lock file pins.
 *
 *   bootstrap.mjs COMMAND ...          the millrace command
 *   bootstrap.mjs --script FILE ...    a script of this repository
 *   bootstrap.mjs --test ...           the tests, with a nats-server at hand
 *
 * Plain JavaScript without dependencies, because it runs before there are any.
 */

import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, join, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const NODE_MAJOR_MIN = 20;
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MODULES = join(ROOT, "node_modules");
const NODE = join(MODULES, ".bin", "node");
/** Tensors live outside the JavaScript heap; with this flag their size makes the collector run. */
const FLAGS = ["--external-memory-accounted-in-global-limit"];
/** As libs/fleet has it: what Node compiled, for the next start. */
const COMPILED = join(ROOT, ".millrace", "cache", "compiled");
/** What `npm test` runs; whole clusters (the project `e2e`) are started by .ci/run. */
const TESTED = ["unit", "repository", "sim"];
const PROGRESS_MS = 2_000;
const LAST_LINES_MAX = 20;
const EXIT_FAILED = 1;
/** The last signal that was passed on to a child. */
let interruptedBy;

async function main(args) {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < NODE_MAJOR_MIN) {
    fail(`Millrace needs Node ${NODE_MAJOR_MIN} or newer to start; this is ${process.version}.`);
  }
  if (!isInstalled()) await install();
  const [mode, ...rest] = args;
  if (mode === "--test") {
    const found = await hand([join(ROOT, "services/ctl/src/up/prepare.ts")]);
    if (found !== 0) process.exit(found);
    const projects = TESTED.flatMap((project) => ["--project", project]);
    process.exit(await hand([join(MODULES, "vitest/vitest.mjs"), "run", ...projects, ...rest]));
  }
  if (mode === "--script") {
    const [script, ...scriptArgs] = rest;
    if (script === undefined) fail("--script needs a file.");
    process.exit(await hand([resolve(ROOT, script), ...scriptArgs]));
  }
  process.exit(await hand([join(ROOT, "services/ctl/src/main.ts"), ...args]));
}

/**
 * True when every package of the lock file is installed in its version, by npm's own record of what
 * it installed, which it writes last and removes first. Packages for other platforms don't count.
 */
function isInstalled() {
  if (!existsSync(NODE)) return false;
  const wanted = readPackages(join(ROOT, "package-lock.json"));
  const present = readPackages(join(MODULES, ".package-lock.json"));
  if (wanted === undefined) fail("package-lock.json is missing or damaged: git restore it.");
  if (present === undefined) return false;
  return Object.entries(wanted).every(([path, { optional, version }]) => {
    if (!path.startsWith("node_modules/")) return true;
    const installed = present[path];
    return installed === undefined ? optional === true : installed.version === version;
  });
}

function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages;
  } catch {
    return undefined;
  }
}

async function install() {
  say(
    "Installing the packages of package-lock.json; this is needed once and takes a minute or two.",
  );
  const startedAt = Date.now();
  const seconds = () => Math.round((Date.now() - startedAt) / 1000);
  const timer = setInterval(() => progress(`  still installing, ${seconds()} s`), PROGRESS_MS);
  const { npm_execpath: npm, npm_node_execpath: node } = process.env;
  // The Node that npm itself runs on: the one in node_modules is about to be replaced.
  const [command, ...before] = npm && node ? [node, npm] : ["npm"];
  const { child, ended } = start(command, [...before, "ci", "--no-audit", "--no-fund"], {
    cwd: ROOT,
    env: {
      ...process.env,
      PATH: pathOutside(MODULES),
      // Its script downloads CUDA files, which only the GPU image needs, and fails without them.
      ONNXRUNTIME_NODE_INSTALL: "skip",
      npm_config_onnxruntime_node_install: "skip",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      lines.push(...text.split("\n").filter((line) => line.trim() !== ""));
      lines.splice(0, lines.length - LAST_LINES_MAX);
    });
  }
  const code = await ended;
  clearInterval(timer);
  if (interruptedBy !== undefined) {
    say("Interrupted; what is missing is installed at the next start.");
    process.exit(128 + constants.signals[interruptedBy]);
  }
  if (code !== 0) {
    const words = lines.map((line) => `  ${line}`).join("\n");
    fail(
      `${words}\nnpm ci failed (${code}). It needs npm on PATH and its registry within reach; ` +
        "run it by hand to see more: ONNXRUNTIME_NODE_INSTALL=skip npm ci",
    );
  }
  say(`Installed in ${seconds()} s.`);
}

const pathOutside = (directory) =>
  (process.env.PATH ?? "")
    .split(delimiter)
    .filter((entry) => entry !== directory && !entry.startsWith(directory + sep))
    .join(delimiter);

/**
 * Runs the pinned Node on this terminal and resolves with its exit code. The channel tells it when
 * this process is gone, however that came about.
 */
function hand(args) {
  const stdio = ["inherit", "inherit", "inherit", "ipc"];
  const env = { NODE_COMPILE_CACHE: COMPILED, ...process.env };
  return start(NODE, [...FLAGS, ...args], { stdio, env }).ended;
}

/**
 * A program that gets this process's signals until it has ended. A signal's exit code is the
 * shell's: 128 and its number. Signals are taken before it starts: it may be at work, and somebody
 * may have seen so and sent one, before `spawn` returns here.
 */
function start(command, args, options) {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  const pass = (signal) => {
    interruptedBy = signal;
    child.kill(signal);
  };
  for (const signal of signals) process.on(signal, pass);
  const child = spawn(command, args, options);
  const ended = new Promise((done) => {
    const end = (code) => {
      for (const signal of signals) process.off(signal, pass);
      done(code);
    };
    child.once("error", (error) => {
      say(error.message);
      end(EXIT_FAILED);
    });
    child.once("close", (code, signal) => end(code ?? 128 + constants.signals[signal]));
  });
  return { child, ended };
}

/** A terminal shows one line that counts; anything else gets a line each time. */
function progress(line) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}\r`);
  else say(line);
}

function say(line) {
  process.stderr.write(`${process.stderr.isTTY ? "\x1b[K" : ""}${line}\n`);
}

function fail(message) {
  say(message);
  process.exit(EXIT_FAILED);
}

await main(process.argv.slice(2));
