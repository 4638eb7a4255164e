/** The kinds of configuration values: what each accepts, in words and in code. */

import { readFileSync } from "node:fs";
import { fail, isName, NAME_RULE, ok, type Result } from "@millrace/std";

export interface Field<T> {
  readonly variable: string;
  readonly help: string;
  /** What a value has to be, for errors and the reference. */
  readonly expects: string;
  /** What holds when the variable is not set; absent when it must be. */
  readonly fallback?: { readonly value: T; readonly text: string };
  readonly parse: (text: string) => Result<T, string>;
}

interface FieldOptions<T> {
  readonly help: string;
  /** Without one the variable must be set. */
  readonly default?: T;
}

function field<T>(
  variable: string,
  options: FieldOptions<T>,
  expects: string,
  parse: (text: string) => Result<T, string>,
  format: (value: T) => string = String,
): Field<T> {
  const { help } = options;
  const base = { variable, help, expects, parse };
  if (options.default === undefined) return base;
  return { ...base, fallback: { value: options.default, text: format(options.default) } };
}

export const textField = (variable: string, options: FieldOptions<string>): Field<string> =>
  field(variable, options, "text", ok);

export const nameField = (variable: string, options: FieldOptions<string>): Field<string> =>
  field(variable, options, NAME_RULE, (text) => (isName(text) ? ok(text) : fail("")));

/** A whole number within bounds. */
export const wholeField = (
  variable: string,
  options: FieldOptions<number> & { readonly min: number; readonly max: number },
): Field<number> =>
  field(variable, options, `a whole number from ${options.min} to ${options.max}`, (text) => {
    const value = /^-?\d+$/.test(text) ? Number(text) : NaN;
    return value >= options.min && value <= options.max ? ok(value) : fail("");
  });

export const flagField = (variable: string, options: FieldOptions<boolean>): Field<boolean> =>
  field(variable, options, "true or false", (text) =>
    text === "true" ? ok(true) : text === "false" ? ok(false) : fail(""),
  );

export const choiceField = <const T extends string>(
  variable: string,
  options: FieldOptions<T> & { readonly choices: readonly T[] },
): Field<T> =>
  field(variable, options, `one of ${options.choices.join(", ")}`, (text) => {
    const choice = options.choices.find((candidate) => candidate === text);
    return choice === undefined ? fail("") : ok(choice);
  });

/** Texts with commas between them, at least one, each of the given form. */
export const listField = (
  variable: string,
  options: FieldOptions<readonly string[]> & { readonly item: RegExp; readonly expects: string },
): Field<readonly string[]> =>
  field(
    variable,
    options,
    options.expects,
    (text) => {
      const items = text.split(",").map((item) => item.trim());
      return items.every((item) => options.item.test(item)) ? ok(items) : fail("");
    },
    (value) => value.join(","),
  );

/** The content of a file, without the white space around it: secrets are never in variables. */
export const secretFileField = (
  variable: string,
  options: { readonly help: string },
): Field<string> =>
  field(variable, options, "the path of a readable file that is not empty", (path) => {
    try {
      const secret = readFileSync(path, "utf8").trim();
      return secret === "" ? fail("it is empty") : ok(secret);
    } catch (error) {
      return fail((error as NodeJS.ErrnoException).code ?? String(error));
    }
  });

/** Undefined when the variable is not set. */
export const optionalField = <T>(inner: Field<T>): Field<T | undefined> => ({
  ...inner,
  fallback: { value: undefined, text: "" },
});
