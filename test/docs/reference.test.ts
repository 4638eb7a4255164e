/**
 * Holds the reference pages to the code: `npx vitest run --project repository -u` rewrites them.
 */

import { renderPermissionsTable } from "@millrace/broker";
import { ERRORS, expects as expectsOf, faultEntry, FAULT_KINDS, SUBJECT_TABLE } from "@millrace/protocol";
import { describeConfig } from "@millrace/runtime";
import { fields as chaosMonkey } from "@millrace/chaos-monkey";
import { fields as cpuWorker } from "@millrace/cpu-worker";
import { fields as forecaster } from "@millrace/forecaster";
import { fields as gpuWorker } from "@millrace/gpu-worker";
import { fields as ingress } from "@millrace/ingress";
import { fields as scheduler } from "@millrace/scheduler";
import { expect, test } from "vitest";

const page = (name: string): string => `../../docs/${name}.md`;

const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");

test("the table of subjects is the protocol's", async () => {
  const rows = SUBJECT_TABLE.map(({ subject, from, to, content, meaning }) => [
    `\`${subject}\``,
    from,
    to,
    content,
    meaning,
  ]);
  await expect(
    `# Subjects\n\nGenerated from \`libs/protocol/src/subjects.ts\`. Watch them with the nats command, for example
\`nats sub 'mr.hb.>'\`. Binary frames are described in \`libs/protocol/src/frames.ts\`.\n\n${table(["subject", "from", "to", "content", "meaning"], rows)}\n`,
  ).toMatchFileSnapshot(page("subjects"));
});

test("the table of permissions is the broker's", async () => {
  await expect(
    `# Permissions\n\nGenerated from \`libs/broker/src/permissions.ts\`, which the server's configuration is rendered from too.
Everything that is not listed is denied; every user has its own key and its own inbox. A user who may make a
consumer of a stream (\`CONSUMER.CREATE\`), or take from one (\`CONSUMER.MSG.NEXT\`), can have the server deliver that
stream's messages to any subject. Who may also write to that stream could so publish anywhere: that is the admin, and
the ingress by its queues of jobs and webhooks.\n\n${renderPermissionsTable()}\n`,
  ).toMatchFileSnapshot(page("permissions"));
});

test("the catalogue of errors is the protocol's", async () => {
  const rows = Object.entries(ERRORS).map(([code, { number, status, retry, meaning }]) => [
    `\`${code}\``,
    number,
    status,
    retry,
    meaning,
  ]);
  await expect(
    `# Errors\n\nGenerated from \`libs/protocol/src/errors.ts\`. An error is \`{"error": "what was wrong and what was expected",
"code": "..."}\`. Compare codes, not messages. \`elsewhere\`: the ingress tries another device by itself,
inside the deadline; \`later\`: the client may try again, after \`Retry-After\` where it is given.\n\n${table(["code", "number", "status", "retry", "meaning"], rows)}\n`,
  ).toMatchFileSnapshot(page("errors"));
});

test("the catalogue of faults is the protocol's", async () => {
  const rows = FAULT_KINDS.map((kind) => {
    const { family, roles, help, options } = faultEntry(kind);
    const named = Object.entries(options).map(
      ([name, option]) =>
        `\`${name}\` = ${option.fallback === "" ? '""' : option.fallback}: ${option.help} (${expectsOf(option)})`,
    );
    return [`\`${kind}\``, family, roles?.join(", ") ?? "any", help, named.join("<br>")];
  });
  await expect(
    `# Faults\n\nGenerated from \`libs/protocol/src/fault-catalogue.ts\`. Every fault has a time limit, and heals when it
is over even if what injected it is gone. \`worker\` is both kinds of workers.\n\n${table(["kind", "family", "roles", "what happens", "options"], rows)}\n`,
  ).toMatchFileSnapshot(page("faults"));
});

test("the configuration reference is the services'", async () => {
  const services = {
    ingress,
    scheduler,
    "gpu-worker": gpuWorker,
    "cpu-worker": cpuWorker,
    forecaster,
    "chaos-monkey": chaosMonkey,
  };
  const sections = Object.entries(services).map(([name, fields]) => {
    const rows = describeConfig(fields).map(({ variable, default: fallback, expects, help }) => [
      `\`${variable}\``,
      fallback === undefined || fallback === "" ? "" : `\`${fallback}\``,
      expects,
      help,
    ]);
    return `## ${name}\n\n${table(["variable", "default", "expects", "meaning"], rows)}`;
  });
  await expect(
    `# Configuration\n\nGenerated from the services' own fields. All of it comes from the environment, is checked before
anything connects, and a wrong value ends the service with exit code 78 and a message that names it.\n\n${sections.join("\n\n")}\n`,
  ).toMatchFileSnapshot(page("configuration"));
});
