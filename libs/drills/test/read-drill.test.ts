/** Drill documents that are sound, and everything that may be wrong with one. */

import { describe, expect, test } from "vitest";
import { readDrill } from "../src/index.ts";
import { action, document } from "./fixtures.ts";

/** The problems of a document, each as `path: message`. */
function problemsOf(value: unknown): readonly string[] {
  const drill = readDrill(value);
  return drill.ok ? [] : drill.error.map(({ path, message }) => `${path.join(".")}: ${message}`);
}

describe("readDrill", () => {
  test("reads a sound document and fills in what is not said", () => {
    const drill = readDrill(document());
    expect(drill.ok && drill.value).toMatchObject({
      title: "A killed worker",
      seed: 7,
      load: { durationUs: 30_000_000, warmUpUs: 5_000_000, tenants: 1, poison: 0 },
      blast: { targetsMax: 1, fractionMax: 0.5, healthyMin: 1 },
      objectives: { availability: 99.99 },
      invariants: ["I1", "I2", "I5", "I7"],
      method: [
        {
          type: "action",
          background: false,
          pauseAfterUs: 3_000_000,
          what: {
            act: "inject",
            fault: {
              kind: "kill",
              target: { role: "gpu-worker", count: 1, choice: "seeded" },
              durationUs: 2_000_000,
              options: { keepDown: false },
            },
          },
        },
      ],
    });
  });

  test("survives being sent as JSON", () => {
    const drill = readDrill(document({}, { guards: [{ metric: "p99-ms", max: 2_000 }] }));
    const value = drill.ok ? drill.value : undefined;
    expect(JSON.parse(JSON.stringify(value))).toMatchObject({
      guards: [{ bounds: { max: 2_000, min: -1e15 } }],
    });
  });

  test.each([
    [document({ titel: "x" }), "titel: unknown key titel"],
    [document({ title: undefined }), "title: missing: expected a text"],
    [document({ method: undefined }), "method: missing"],
    [document({ version: "2.0.0" }), 'version: "2.0.0": expected 1.0.0'],
    [document({ extensions: [] }), "extensions: expected an entry with the name millrace"],
    [document({ runtime: { rollbacks: { strategy: "never" } } }), "expected always"],
    [document({ method: [action("chaos fault kill --role gpu-worker")] }), "--for is missing"],
    [document({ method: [action("chaos fault kill --for 2s")] }), "kill is aimed at nothing"],
    [document({ method: [action("chaos fault kil --for 2s")] }), "no fault kil"],
    [document({ method: [action("rm -rf /")] }), "expected chaos fault, probe or abort"],
    [
      document({ method: [action("chaos fault pause --role nats --for 2s --option x=1")] }),
      "no option of pause",
    ],
    [
      document({
        method: [action("chaos fault latency --role scheduler --for 2s --option delayUs=-1")],
      }),
      "options.delayUs is -1",
    ],
    [document({ method: [action("chaos probe availability")] }), "an action needs `chaos fault`"],
    [
      document({ method: [{ ...action("chaos abort"), provider: { type: "http", url: "x" } }] }),
      'method.0.provider.type: "http": expected process',
    ],
    [document({}, { seed: -1 }), "extensions.0.seed: -1"],
    [document({}, { guards: [{ metric: "availability" }] }), "expected min, max or both"],
    [
      document({}, { guards: [{ metric: "luck", min: 1 }] }),
      'metric: "luck": expected availability',
    ],
    [
      document({}, { blast: { "max-fraction": 2 } }),
      "max-fraction: 2: expected a number from 0 to 1",
    ],
    [document({}, { invariants: ["I42"] }), 'invariants.0: "I42"'],
    [document({}, { window: { tz: "Mars/Base" } }), "Mars/Base: no time zone"],
    [document({}, { load: { duration: "60 parsecs" } }), "expected a time such as 250ms or 10s"],
    [
      document({}, { objectives: { overload: { goodput: 95 } } }),
      "extensions.0.objectives.overload.capacity: missing: expected a number",
    ],
    [document({}, { objectives: { overload: { capacity: 9, p99: 1 } } }), "unknown key p99"],
    [document({}, { cluster: { settings: { PATH: "/tmp" } } }), "PATH: expected MILLRACE_"],
    ["a text", "expected a mapping with version, title"],
    [undefined, "expected a mapping"],
  ])("refuses %j", (value, message) => {
    expect(problemsOf(value).join("\n")).toContain(message);
  });

  test("says everything that is wrong at once", () => {
    const value = document({ titel: 1, method: [action("chaos nonsense")] }, { seed: "x" });
    expect(problemsOf(value).length).toBeGreaterThanOrEqual(3);
  });
});
