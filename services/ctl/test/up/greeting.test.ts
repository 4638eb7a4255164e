/** What a new cluster tells its user. */

import { expect, test } from "vitest";
import { greet } from "../../src/up/greeting.ts";

test("the request that is printed can be copied into the shell where it was started", () => {
  const lines = greet(
    {
      url: "http://127.0.0.1:8080",
      keyFile: "/home/me/millrace/.millrace/api-key",
      created: true,
      nats: {
        servers: "nats://127.0.0.1:4222",
        credentialsDirectory: "/home/me/millrace/.millrace/credentials",
      },
      members: [],
      directory: "/home/me/millrace/.millrace",
      sample: { model: "sms-spam", request: { inputs: [{ name: "ids", data: [1, 2] }] } },
    },
    "/home/me/millrace",
  );
  expect(lines.join("\n")).toContain(
    [
      "curl -s http://127.0.0.1:8080/v2/models/sms-spam/infer \\",
      '  -H "Authorization: Bearer $(cat .millrace/api-key)" ' +
        '-H "Content-Type: application/json" \\',
      `  -d '{"inputs":[{"name":"ids","data":[1,2]}]}'`,
    ].join("\n"),
  );
  expect(lines).toContain("API key   in .millrace/api-key, made just now");
  expect(lines).toContain(
    "NATS      nats://127.0.0.1:4222, its users' keys in .millrace/credentials",
  );
});
