/**
 * How AWS, GCP and Azure announce that a machine is taken away. A reader asks once and says what is
 * announced for this machine; what it cannot read is a problem, and never a notice.
 *
 * Sources: AWS "Spot Instance interruption notices" (IMDSv2), Google Cloud "Preemption process" and
 * "Live migration metadata", Azure "Scheduled Events" (2020-07-01).
 */

import * as v from "valibot";
import { fail, ok, type Result } from "@millrace/std";
import { ask, type Said } from "./ask.ts";

export const SPOT_PROVIDERS = ["aws", "gcp", "azure"] as const;
export type SpotProvider = (typeof SPOT_PROVIDERS)[number];

export interface Notice {
  /** In the provider's word: `terminate`, `preempted`, `Preempt`. */
  readonly action: string;
  /** When it happens, in milliseconds since 1970 by the provider's clock. */
  readonly atMs: number;
}

/** Undefined: nothing is announced. The error is a sentence for the log. */
export type Reading = Result<Notice | undefined, string>;
export type NoticeReader = () => Promise<Reading>;

/** From the notice to the kill, where the notice does not say when. */
const PREEMPTED_MS = 30_000;
const MAINTENANCE_MS = 60_000;
const SHOWN_CHARACTERS = 80;

/** The link-local address at which all three answer. */
export const METADATA_URL = "http://169.254.169.254";

export function noticeReader(provider: SpotProvider, base: string): NoticeReader {
  switch (provider) {
    case "aws":
      return awsReader(base);
    case "gcp":
      return gcpReader(base);
    case "azure":
      return azureReader(base);
  }
}

const TOKEN_SECONDS = 21_600;
const actionSchema = v.object({
  action: v.picklist(["terminate", "stop", "hibernate"]),
  time: v.pipe(v.string(), v.isoTimestamp()),
});

/** IMDSv2: a token first, which is kept until it is refused. */
function awsReader(base: string): NoticeReader {
  const tokenUrl = new URL("/latest/api/token", base);
  const url = new URL("/latest/meta-data/spot/instance-action", base);
  let token: string | undefined;
  const renew = async (): Promise<Result<string, string>> => {
    const headers = { "x-aws-ec2-metadata-token-ttl-seconds": String(TOKEN_SECONDS) };
    const given = await ask({ url: tokenUrl, method: "PUT", headers });
    if (!given.ok) return given;
    const { status, text } = given.value;
    // Only what a header can carry: the answer of anything else would break the next request.
    return status === 200 && /^[\x21-\x7e]{1,1024}$/.test(text)
      ? ok(text)
      : odd(tokenUrl, given.value);
  };
  const read = async (): Promise<Result<Said, string>> => {
    const renewed = token === undefined ? await renew() : ok(token);
    if (!renewed.ok) return renewed;
    token = renewed.value;
    return ask({ url, headers: { "x-aws-ec2-metadata-token": token } });
  };
  return async () => {
    let said = await read();
    if (said.ok && said.value.status === 401) {
      token = undefined;
      said = await read();
    }
    if (!said.ok) return said;
    if (said.value.status === 404) return ok(undefined);
    const action = said.value.status === 200 ? parse(actionSchema, said.value) : undefined;
    if (action === undefined) return odd(url, said.value);
    return ok({ action: action.action, atMs: Date.parse(action.time) });
  };
}

/** Two values: whether it was preempted, and whether its host is taken away under it. */
function gcpReader(base: string): NoticeReader {
  const headers = { "metadata-flavor": "Google" };
  const preempted = new URL("/computeMetadata/v1/instance/preempted", base);
  const maintenance = new URL("/computeMetadata/v1/instance/maintenance-event", base);
  const read = async (url: URL, known: RegExp): Promise<Result<string, string>> => {
    const said = await ask({ url, headers });
    if (!said.ok) return said;
    const { headers: got, status, text } = said.value;
    // Google's own sign that it is the metadata server, and not a proxy in its place.
    const genuine = status === 200 && got["metadata-flavor"] === "Google";
    return genuine && known.test(text.trim()) ? ok(text.trim()) : odd(url, said.value);
  };
  // When it was first seen: the values say that it is so, and not since when.
  let seenAtMs: number | undefined;
  const notice = (action: string, graceMs: number): Reading => {
    seenAtMs ??= Date.now();
    return ok({ action, atMs: seenAtMs + graceMs });
  };
  return async () => {
    const taken = await read(preempted, /^(?:TRUE|FALSE)$/);
    if (!taken.ok) return taken;
    if (taken.value === "TRUE") return notice("preempted", PREEMPTED_MS);
    const event = await read(maintenance, /^(?:NONE|(?:MIGRATE|TERMINATE)_ON_HOST_MAINTENANCE)$/);
    if (!event.ok) return event;
    // A migration is a pause of a second, after which the machine goes on.
    if (event.value.startsWith("TERMINATE")) return notice(event.value, MAINTENANCE_MS);
    seenAtMs = undefined;
    return ok(undefined);
  };
}

const eventsSchema = v.object({
  Events: v.pipe(
    v.array(
      v.object({
        EventType: v.string(),
        Resources: v.array(v.string()),
        /** Empty once it has begun. */
        NotBefore: v.string(),
      }),
    ),
    v.maxLength(1_000),
  ),
});
/** A freeze is a pause of seconds, after which the machine goes on. */
const AZURE_ENDS: ReadonlySet<string> = new Set(["Preempt", "Terminate", "Reboot", "Redeploy"]);

/** Events of all machines of the group: only those that name this one count. */
function azureReader(base: string): NoticeReader {
  const headers = { metadata: "true" };
  const nameUrl = new URL("/metadata/instance/compute/name", base);
  nameUrl.search = "api-version=2021-02-01&format=text";
  const url = new URL("/metadata/scheduledevents?api-version=2020-07-01", base);
  let name: string | undefined;
  return async () => {
    if (name === undefined) {
      const given = await ask({ url: nameUrl, headers });
      if (!given.ok) return given;
      const { status, text } = given.value;
      if (status !== 200 || !/^[\w.-]{1,128}$/.test(text)) return odd(nameUrl, given.value);
      name = text;
    }
    const own = name;
    const said = await ask({ url, headers });
    if (!said.ok) return said;
    const events = said.value.status === 200 ? parse(eventsSchema, said.value) : undefined;
    if (events === undefined) return odd(url, said.value);
    const notices = events.Events.filter(
      ({ EventType, Resources }) => AZURE_ENDS.has(EventType) && Resources.includes(own),
    ).map(({ EventType, NotBefore }) => ({
      action: EventType,
      atMs: NotBefore === "" ? Date.now() : Date.parse(NotBefore),
    }));
    if (notices.some(({ atMs }) => Number.isNaN(atMs))) return odd(url, said.value);
    return ok(notices.toSorted((a, b) => a.atMs - b.atMs)[0]);
  };
}

function parse<const S extends v.GenericSchema>(
  schema: S,
  { text }: Said,
): v.InferOutput<S> | undefined {
  try {
    const parsed = v.safeParse(schema, JSON.parse(text));
    return parsed.success ? parsed.output : undefined;
  } catch {
    return undefined;
  }
}

function odd(url: URL, { status, text }: Said): Result<never, string> {
  const shown = JSON.stringify(text.slice(0, SHOWN_CHARACTERS));
  return fail(`${url.href} answered ${status} ${shown}, which it never should`);
}
