/** What an ingress is told. */

import { BODY_BYTES_MAX } from "@millrace/protocol";
import {
  choiceField,
  commonFields,
  type ConfigValues,
  defineConfig,
  textField,
  wholeField,
} from "@millrace/runtime";

const MIB = 1024 * 1024;

export const fields = defineConfig({
  ...commonFields("ingress"),
  httpHost: textField("MILLRACE_HTTP_HOST", {
    default: "127.0.0.1",
    help: "address on which clients are served",
  }),
  httpPort: wholeField("MILLRACE_HTTP_PORT", {
    min: 0,
    max: 65_535,
    default: 8080,
    help: "port on which clients are served; 0 takes a free one",
  }),
  apiKeysFile: textField("MILLRACE_API_KEYS_FILE", {
    default: "",
    help: "file of API keys, one JSON object a line; read again when it changes and on SIGHUP",
  }),
  anonymous: choiceField("MILLRACE_ANONYMOUS", {
    choices: ["off", "loopback"],
    default: "off",
    help: "`loopback` serves requests without a key, on a loopback address only",
  }),
  timeoutMs: wholeField("MILLRACE_TIMEOUT_MS", {
    min: 1,
    max: 600_000,
    default: 10_000,
    help: "deadline of requests that name none",
  }),
  bodyBytesMax: wholeField("MILLRACE_BODY_BYTES_MAX", {
    min: 1024,
    max: BODY_BYTES_MAX,
    default: BODY_BYTES_MAX,
    help: "largest body of a request",
  }),
  openMax: wholeField("MILLRACE_OPEN_MAX", {
    min: 1,
    max: 1_000_000,
    default: 8_192,
    help: "requests without an answer yet; more are refused as OVERLOADED",
  }),
  openBytesMax: wholeField("MILLRACE_OPEN_BYTES_MAX", {
    min: 1024,
    max: 1024 * 1024 * MIB,
    default: 512 * MIB,
    help: "bytes of their bodies, and again of bodies that are being read and of answers' parts",
  }),
  clientOpenMax: wholeField("MILLRACE_CLIENT_OPEN_MAX", {
    min: 1,
    max: 1_000_000,
    default: 4_096,
    help: "requests without an answer yet of one API key that has no limit of its own",
  }),
  clientRateMax: wholeField("MILLRACE_CLIENT_RATE_MAX", {
    min: 0,
    max: 1_000_000,
    default: 0,
    help: "requests a second of one API key that has no limit of its own; 0 for any rate",
  }),
  connectionsMax: wholeField("MILLRACE_CONNECTIONS_MAX", {
    min: 1,
    max: 1_000_000,
    default: 10_000,
    help: "client connections; more are closed at once",
  }),
  arrivalMs: wholeField("MILLRACE_ARRIVAL_MS", {
    min: 100,
    max: 600_000,
    default: 60_000,
    help: "how long a request may take to arrive completely",
  }),
  drainMs: wholeField("MILLRACE_DRAIN_MS", {
    min: 0,
    max: 25_000,
    default: 15_000,
    help: "how long a drain waits for answers to what is open",
  }),
});

export type IngressConfig = ConfigValues<typeof fields>;
