/**
 * Turns a message into the token ids of `sms-spam`. Words are cut out by rule; the vocabulary,
 * which was counted on the training rows, numbers them: line by line from 0, where 0 is padding and
 * 1 any word that is not in it.
 */

import { readFileSync } from "node:fs";

export const PADDING_ID = 0;
export const UNKNOWN_ID = 1;
/** Longer messages are cut; one in two hundred is. */
export const TOKENS_MAX = 96;

const VOCABULARY = new URL("../models/sms-spam/vocabulary.txt", import.meta.url);
let vocabulary: ReadonlyMap<string, number> | undefined;

/** 1 to 96 ids for the model's input `ids`. */
export function tokenizeSms(text: string): number[] {
  vocabulary ??= numbered(readFileSync(VOCABULARY, "utf8").trimEnd().split("\n"));
  return idsOf(text, vocabulary);
}

export const numbered = (words: readonly string[]): ReadonlyMap<string, number> =>
  new Map(words.map((word, id) => [word, id]));

/** A text without any token is one unknown word, so that no input is empty. */
export function idsOf(text: string, words: ReadonlyMap<string, number>): number[] {
  const tokens = tokensOf(text);
  if (tokens.length === 0) return [UNKNOWN_ID];
  return tokens.slice(0, TOKENS_MAX).map((token) => words.get(token) ?? UNKNOWN_ID);
}

/**
 * Words in lower case, numbers, and every other character by itself. A number keeps only how many
 * digits it has: what betrays an advertisement is a telephone number, not which.
 */
export function tokensOf(text: string): string[] {
  const found = text
    .normalize("NFKC")
    .toLowerCase()
    .match(/\p{L}+|\p{N}+|[^\s\p{L}\p{N}]/gu);
  return (found ?? []).map((token) => (/^\p{N}/u.test(token) ? token.replace(/./gu, "0") : token));
}
