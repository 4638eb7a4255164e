/** How many versions are kept, of a registry that holds more. */

import { MODELS_MAX, type ModelRecord, modelRef } from "@millrace/protocol";
import { present } from "@millrace/std";
import { expect, test } from "vitest";
import { Models } from "../src/models.ts";
import { record as recordOf } from "./fixtures.ts";

const VERSIONS = 5;
const record = (name: string): ModelRecord => {
  const one = recordOf(name);
  const spec = present(Object.values(one.versions)[0], "a version");
  const versions = Array.from({ length: VERSIONS }, (_, at) => ({ ...spec, version: at + 1 }));
  return {
    ...one,
    active: VERSIONS,
    versions: Object.fromEntries(versions.map((each) => [String(each.version), each])),
  };
};

test("the versions that answer are kept, and others where they are looked for", () => {
  const models = new Models({ ticketsMax: 10, ageAfterUs: 1_000 });
  for (let at = 0; at < MODELS_MAX; at++) models.changed(record(`m${at}`), 1);
  expect([...models.values()]).toHaveLength(MODELS_MAX);
  const last = modelRef(`m${MODELS_MAX - 1}`, VERSIONS);
  expect(models.get(last)).toMatchObject({ wanted: true, spec: { version: VERSIONS } });
  // All of them answer: there is room for no other, and nothing is lost for it.
  expect(models.get(modelRef("m0", 1))).toBeUndefined();
  expect(models.get(modelRef("m0", VERSIONS))?.wanted).toBe(true);
  models.removed("m1");
  expect(models.get(modelRef("m0", 1))).toMatchObject({ wanted: false, spec: { version: 1 } });
  // One that nobody waits for makes way where a ticket asks, and for no look.
  expect(models.get(modelRef("m0", 2))).toBeUndefined();
  expect(models.ensure(modelRef("m0", 2))).toMatchObject({ wanted: false, spec: { version: 2 } });
  expect([...models.values()]).toHaveLength(MODELS_MAX);
});
