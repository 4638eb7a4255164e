export type { FitOrder } from "./fit.ts";
export { type ProphetOptions, ProphetThread } from "./prophet.ts";
