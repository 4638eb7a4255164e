/** What a worker is told of the machine below it, and of who announces that it is taken away. */

import {
  choiceField,
  defineConfig,
  nameField,
  optionalField,
  textField,
  wholeField,
} from "@millrace/runtime";
import { LIFECYCLES } from "@millrace/protocol";
import { fail, ok } from "@millrace/std";
import { METADATA_URL, SPOT_PROVIDERS } from "./spot/providers.ts";

export const machineFields = defineConfig({
  kind: optionalField(
    nameField("MILLRACE_KIND", { help: "what the price book calls this machine" }),
  ),
  zone: optionalField(
    nameField("MILLRACE_ZONE", { help: "where this machine stands; bytes across zones cost" }),
  ),
  storeZone: optionalField(
    nameField("MILLRACE_STORE_ZONE", {
      help: "where NATS and the models in it stand; what is fetched across zones is counted",
    }),
  ),
  lifecycle: optionalField(
    choiceField("MILLRACE_LIFECYCLE", {
      choices: LIFECYCLES,
      help: "how this machine is paid for; unknown unless given",
    }),
  ),
  spotProvider: optionalField(
    choiceField("MILLRACE_SPOT_PROVIDER", {
      choices: SPOT_PROVIDERS,
      help: "whose notices of interruption begin a drain; none unless given",
    }),
  ),
  spotUrl: {
    ...textField("MILLRACE_SPOT_URL", {
      default: METADATA_URL,
      help: "where the provider's metadata service answers",
    }),
    expects: "http://host or http://host:port",
    parse: (text) => (/^http:\/\/[a-z0-9.-]+(?::\d{1,5})?$/i.test(text) ? ok(text) : fail("")),
  },
  spotPollMs: wholeField("MILLRACE_SPOT_POLL_MS", {
    min: 100,
    max: 60_000,
    default: 1_000,
    help: "how often the metadata service is asked",
  }),
});
