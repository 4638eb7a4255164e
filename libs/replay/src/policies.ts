/** The policies that a replay compares, by name, and what each may use. */

export interface Policy {
  readonly name: string;
  readonly description: string;
  readonly scaling: "static" | "knative" | "dynamo" | "step-rule" | "planned";
  /** Of the static peak fleet, for static ones. */
  readonly headroom: number;
  readonly forecast: "rolling" | "perfect";
  readonly spot: boolean;
  readonly defers: boolean;
  readonly variant: "fp32" | "int8";
}

const policy = (
  name: string,
  description: string,
  scaling: Policy["scaling"],
  rest: Partial<Policy> = {},
): Policy => ({
  name,
  description,
  scaling,
  headroom: 1,
  forecast: "rolling",
  spot: false,
  defers: false,
  variant: "fp32",
  ...rest,
});

export const POLICIES: readonly Policy[] = [
  policy("static-peak", "the P99.9 minute at 90 % use, known in advance, on demand", "static"),
  policy("static-headroom", "1.5 times that", "static", { headroom: 1.5 }),
  policy("reactive", "load only, as Knative does it", "knative"),
  policy("short-horizon", "the next three minutes and the load, as Dynamo does it", "dynamo"),
  policy("step-rule", "above 1000 requests/s 10, below 200 two, else 5", "step-rule"),
  policy("ours", "day-ahead forecast and guard", "planned"),
  policy("ours-spot", "the same on spot workers over an on-demand base", "planned", {
    spot: true,
  }),
  policy("ours-spot-batch", "the same with the stated share of work deferrable", "planned", {
    spot: true,
    defers: true,
  }),
  policy("ours-spot-batch-int8", "the same with the INT8 variant", "planned", {
    spot: true,
    defers: true,
    variant: "int8",
  }),
  policy("ours-perfect", "forecast and guard, were the load known", "planned", {
    forecast: "perfect",
  }),
];
