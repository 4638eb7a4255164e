/** A report as data: sections of blocks, which are written as HTML and as Markdown alike. */

/** What a figure or a cell means for the reader: it stands in the colour of its tone. */
export type Tone = "good" | "bad" | "plain";

export interface Toned {
  readonly text: string;
  readonly tone: Tone;
}

export type Cell = string | number | Toned;

export type Block =
  | { readonly type: "text"; readonly text: string }
  /** The few figures that a reader looks for first. */
  | { readonly type: "figures"; readonly figures: readonly (readonly [string, Cell])[] }
  | {
      readonly type: "table";
      readonly head: readonly string[];
      readonly rows: readonly (readonly Cell[])[];
    }
  /** A command or a listing, kept as it is. */
  | { readonly type: "code"; readonly text: string }
  /** An `<svg>` element of `svgChart`. `alternative` stands where none can be shown. */
  | { readonly type: "chart"; readonly svg: string; readonly alternative: string };

export interface Section {
  readonly title: string;
  readonly blocks: readonly Block[];
}

export interface Page {
  readonly title: string;
  /** One line under the title. */
  readonly summary?: Toned;
  readonly sections: readonly Section[];
}
