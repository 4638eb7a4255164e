export {
  type Band,
  type ChartSpec,
  type Point,
  type RangePoint,
  type Series,
  SERIES_MAX,
} from "./chart-spec.ts";
export type { Block, Cell, Page, Section, Tone, Toned } from "./document.ts";
export { htmlPage } from "./html-page.ts";
export { markdownPage, markdownTable } from "./markdown-page.ts";
export { svgChart } from "./svg-chart.ts";
