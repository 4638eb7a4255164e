/**
 * The colours of series, in the order of their use: Okabe and Ito's, which people who see colours
 * differently tell apart, with two shades each so that they read on white and on black.
 */

import { present } from "@millrace/std";

interface Shade {
  readonly light: string;
  readonly dark: string;
}

const SHADES: readonly Shade[] = [
  { light: "#0072b2", dark: "#56a8e0" },
  { light: "#d55e00", dark: "#f0883e" },
  { light: "#009e73", dark: "#3fc79a" },
  { light: "#aa4499", dark: "#d98ac8" },
  { light: "#b8860b", dark: "#e6c04a" },
  { light: "#2aa6d6", dark: "#7fd0f0" },
  { light: "#7f7f7f", dark: "#b0b0b0" },
  { light: "#882255", dark: "#cc7799" },
  { light: "#332288", dark: "#a79cf5" },
  { light: "#7a7a1f", dark: "#c9c96a" },
];

/** The CSS value of a series' colour, by its place in the chart. */
export function paletteColor(place: number): string {
  const at = place % SHADES.length;
  return `var(--series-${at}, ${present(SHADES[at], "the shade").light})`;
}

/** The variables that {@link paletteColor} names, for a style sheet. */
export const paletteVariables = (mode: "light" | "dark"): string =>
  SHADES.map((shade, at) => `--series-${at}:${shade[mode]}`).join(";");
