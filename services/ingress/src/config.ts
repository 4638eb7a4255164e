/** What an ingress is told. */

import { ATTEMPTS_MAX, BODY_BYTES_MAX } from "@millrace/protocol";
import {
  clockField,
  choiceField,
  commonFields,
  type ConfigValues,
  defineConfig,
  listField,
  nameField,
  optionalField,
  secretFileField,
  textField,
  wholeField,
} from "@millrace/runtime";

const MIB = 1024 * 1024;

export const fields = defineConfig({
  ...commonFields("ingress"),
  zone: optionalField(
    nameField("MILLRACE_ZONE", {
      help: "where this machine stands; workers there are preferred, bytes across zones counted",
    }),
  ),
  storeZone: optionalField(
    nameField("MILLRACE_STORE_ZONE", {
      help: "where NATS and the jobs in it stand; what jobs send there across zones is counted",
    }),
  ),
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
    help: "bytes of their bodies; as many again of bodies being read, of answers that come in parts, and of what is read of jobs",
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
  attemptsMax: wholeField("MILLRACE_ATTEMPTS_MAX", {
    min: 1,
    max: ATTEMPTS_MAX,
    default: ATTEMPTS_MAX,
    help: "attempts of one request, retries and the hedge included; 1 turns both off",
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
  jobSlots: wholeField("MILLRACE_JOB_SLOTS", {
    min: 0,
    max: 256,
    default: 4,
    help: "chunks of durable jobs that this ingress runs at a time; 0 leaves them to others",
  }),
  jobItemsMax: wholeField("MILLRACE_JOB_ITEMS_MAX", {
    min: 4,
    max: 8_192,
    default: 256,
    help: "items of durable jobs that it has at the schedulers; fewer where they are slow",
  }),
  jobChunksMax: wholeField("MILLRACE_JOB_CHUNKS_MAX", {
    min: 1,
    max: 8_192,
    default: 8_192,
    help: "chunks of up to 64 items that may wait for one API key; more are refused as JOBS_FULL",
  }),
  jobKeptHours: wholeField("MILLRACE_JOB_KEPT_HOURS", {
    min: 1,
    max: 48,
    default: 24,
    help: "how long results and ended jobs are kept, and a job waits for a cluster that serves it",
  }),
  jobUploadMib: wholeField("MILLRACE_JOB_UPLOAD_MIB", {
    min: 1,
    max: 2_048,
    default: 1_024,
    help: "largest upload of JSON lines, and largest object, in MiB",
  }),
  webhookHosts: listField("MILLRACE_WEBHOOK_HOSTS", {
    default: [],
    item: /^(?:http:\/\/)?(?:\*\.)?[0-9A-Za-z.-]+$/,
    expects: "host names with commas between them, `*.` before one for all below it",
    help: "hosts that webhooks may go to over https, none unless given; `http://localhost` for tests",
  }),
  webhookSecret: optionalField(
    secretFileField("MILLRACE_WEBHOOK_SECRET_FILE", {
      help: "file with the secret that signs webhooks; needed where they are on",
    }),
  ),
  clock: clockField(),
  drainMs: wholeField("MILLRACE_DRAIN_MS", {
    min: 0,
    max: 25_000,
    default: 15_000,
    help: "how long a drain waits for answers to what is open",
  }),
});

export type IngressConfig = ConfigValues<typeof fields>;
