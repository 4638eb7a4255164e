/** Reads the two data sets from the files of the UCI Machine Learning Repository. */

import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface LabelledImages {
  /** 64 values of 0..1 per row: the ink in each of 8x8 cells. */
  readonly pixels: Float32Array;
  readonly labels: Uint8Array;
}

export interface LabelledText {
  readonly texts: readonly string[];
  /** 0 ham, 1 spam. */
  readonly labels: Uint8Array;
}

/** @param file `optdigits.tra` to train on, `optdigits.tes` by thirteen other writers */
export function readDigits(directory: string, file: string): LabelledImages {
  const rows = linesOf(directory, file).map((line) => line.split(",").map(Number));
  return {
    pixels: Float32Array.from(rows.flatMap((row) => row.slice(0, 64).map((ink) => ink / 16))),
    labels: Uint8Array.from(rows, (row) => row[64] as number),
  };
}

export function readMessages(directory: string): LabelledText {
  const rows = linesOf(directory, "SMSSpamCollection.tsv").map((line) => {
    const tab = line.indexOf("\t");
    return { isSpam: line.slice(0, tab) === "spam", text: line.slice(tab + 1) };
  });
  return {
    texts: rows.map(({ text }) => text),
    labels: Uint8Array.from(rows, ({ isSpam }) => (isSpam ? 1 : 0)),
  };
}

/** The rows; a first line of column names is left out. */
const linesOf = (directory: string, file: string): string[] =>
  readFileSync(join(directory, file), "utf8")
    .trimEnd()
    .split(/\r?\n/)
    .filter((line, at) => at > 0 || !/^(?:Block|Label)/.test(line));
