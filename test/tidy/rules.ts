/**
 * What the house style says about any file, as rules from files to violations. What a parser with
 * types can hold is in .oxlintrc.json instead, and `lint.test.ts` proves that it holds it.
 */

import { parseSource } from "../support/source.ts";
import { isCode, type TextFile } from "../support/workspace.ts";

export type Rule = (file: TextFile) => string[];

const LINES_MAX = 400;
const COLUMNS_MAX = 100;

const isShell = (file: TextFile): boolean =>
  file.path.endsWith(".sh") || file.text.startsWith("#!/usr/bin/env bash");
const isTypescript = (file: TextFile): boolean => /\.m?ts$/.test(file.path);
const isMarkdown = (file: TextFile): boolean => file.path.endsWith(".md");
const linesOf = (file: TextFile): string[] => file.text.replace(/\n$/, "").split("\n");
/** The words that these rules look for have to stand somewhere. */
const isThisFolder = (file: TextFile): boolean => file.path.startsWith("test/tidy/");

const everyLine = (file: TextFile, check: (line: string) => string | undefined): string[] =>
  linesOf(file).flatMap((line, at) => {
    const problem = check(line);
    return problem === undefined ? [] : [`${file.path}:${at + 1}: ${problem}`];
  });

export const checkLength: Rule = (file) => {
  if (!isCode(file.path) && !isShell(file)) return [];
  const count = linesOf(file).length;
  return count > LINES_MAX ? [`${file.path}: ${count} lines, at most ${LINES_MAX}`] : [];
};

/**
 * A text reads best in one piece: a line may be longer where its last column is inside a literal.
 */
export const checkColumns: Rule = (file) => {
  if (!isCode(file.path) && !isShell(file)) return [];
  const literals = isTypescript(file) ? parseSource(file).literals : [];
  let start = 0;
  return everyLine(file, (line) => {
    const edge = start + COLUMNS_MAX;
    start += line.length + 1;
    if (line.length <= COLUMNS_MAX) return undefined;
    if (literals.some(([from, to]) => from < edge && edge < to)) return undefined;
    return `${line.length} columns, at most ${COLUMNS_MAX}`;
  });
};

/** A file opens with a sentence about itself; one that only re-exports has nothing to say. */
export const checkHeader: Rule = (file) => {
  const [first = "", second = ""] = linesOf(file);
  if (isCode(file.path)) {
    const opening = first.startsWith("#!") ? second : first;
    if (/^\/\*\*(?: \S|$)/.test(opening)) return [];
    if (isTypescript(file) && parseSource(file).onlyReexports) return [];
    return [`${file.path}: no header comment`];
  }
  if (!isShell(file) || /^# \S/.test(second)) return [];
  return [`${file.path}: no header comment`];
};

const BANNED_PARTS = /(?:^|[a-z0-9_$-])(?:Impl|Manager|Helpers?|Utils?)(?![a-z])/;
const BANNED_WHOLE = /^(?:impl|manager|helpers?|utils?)$|[-_](?:impl|manager|helpers?|utils?)$/i;
const isBanned = (name: string): boolean => BANNED_PARTS.test(name) || BANNED_WHOLE.test(name);

/** Nouns that say nothing, in the names of files and of what they declare. */
export const checkNames: Rule = (file) => {
  const parts = file.path.split("/").map((part) => part.replace(/\..*$/, ""));
  const inPath = parts.filter(isBanned).map((part) => `${file.path}: "${part}" says nothing`);
  if (!isTypescript(file)) return inPath;
  const declared = [...parseSource(file).declared].filter(isBanned);
  return [...inPath, ...declared.map((name) => `${file.path}: "${name}" says nothing`)];
};

const MARKETING = new RegExp(
  "blazing|lightning[- ]fast|cutting[- ]edge|state[- ]of[- ]the[- ]art|seamless|world[- ]class|" +
    "revolution|game[- ]chang|next[- ]gen|supercharge|effortless|best[- ]in[- ]class|" +
    "enterprise[- ]grade|industry[- ]leading|battle[- ]tested|delight|leverag|unleash|empower|" +
    "amazing|awesome|simply|magical",
  "i",
);

export const checkProse: Rule = (file) =>
  isMarkdown(file) && !isThisFolder(file)
    ? everyLine(file, (line) => {
        const word = MARKETING.exec(line)?.[0];
        return word === undefined ? undefined : `"${word}" is marketing`;
      })
    : [];

const PICTURES = /\p{Extended_Pictographic}/u;
/** Pictographs that are also plain typography. */
const TYPOGRAPHY = /[©®™↔]/gu;

export const checkPictures: Rule = (file) =>
  everyLine(file, (line) =>
    PICTURES.test(line.replace(TYPOGRAPHY, "")) ? "a pictograph" : undefined,
  );

const PENDING = /\b(?:TODO|FIXME|XXX|HACK)\b/;

export const checkPending: Rule = (file) =>
  isThisFolder(file)
    ? []
    : everyLine(file, (line) => {
        const word = PENDING.exec(line)?.[0];
        return word === undefined ? undefined : `"${word}": do it or leave it out`;
      });

/** The repository speaks of what it is, not of how it came to be. */
const MAKING = new RegExp(
  [
    String.raw`\b(?:AI|LLM|A\.I\.)[- ](?:agent|assist|generat|written|helper)`,
    String.raw`\b(?:Claude|Anthropic|ChatGPT|OpenAI|Copilot|Gemini)\b`,
    String.raw`\b(?:coding|sub)[- ]?agents?\b`,
    String.raw`\b(?:issue|ticket|PR|pull request|milestone|sprint) #?\d+\b`,
    String.raw`\bas (?:requested|instructed|asked)\b`,
    String.raw`/work/(?:main|shared)\b`,
  ].join("|"),
);

export const checkMaking: Rule = (file) =>
  isThisFolder(file)
    ? []
    : everyLine(file, (line) => {
        const word = MAKING.exec(line)?.[0];
        return word === undefined ? undefined : `"${word}" is about how this was made`;
      });

/** Everything at the top of the repository, dotfiles of tools apart. */
const TOP_LEVEL = new Set(
  (
    "services libs deploy chaos docs test README.md ARCHITECTURE.md LICENSE " +
    "nx.json package.json package-lock.json tsconfig.json vitest.config.ts"
  ).split(" "),
);

export function checkTopLevel(paths: readonly string[]): string[] {
  const top = new Set(paths.map((path) => path.split("/")[0] ?? ""));
  return [...top]
    .filter((name) => !TOP_LEVEL.has(name) && !name.startsWith("."))
    .map((name) => `${name} does not belong at the top of the repository`);
}

export const RULES = {
  checkLength,
  checkColumns,
  checkHeader,
  checkNames,
  checkProse,
  checkPictures,
  checkPending,
  checkMaking,
} as const;
