/** Where webhooks may not go: the ways in which an address can mean this network (SSRF). */

import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { describe, expect, test } from "vitest";
import { isPublic, type Resolve, WebhookHosts } from "../src/jobs/webhook-address.ts";
import { checkWebhookConfig, sendWebhook } from "../src/jobs/webhooks.ts";

const at =
  (...addresses: readonly string[]): Resolve =>
  async () =>
    addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));

const PUBLIC = ["93.184.216.34", "1.1.1.1", "2606:2800:220:1:248:1893:25c8:1946"];

const PRIVATE = [
  "0.0.0.0",
  "10.0.0.1",
  "10.255.255.255",
  "100.64.0.1",
  "127.0.0.1",
  "127.255.255.254",
  "169.254.169.254",
  "172.16.0.1",
  "172.31.255.255",
  "192.0.0.170",
  "192.0.2.1",
  "192.168.1.1",
  "198.18.0.1",
  "198.51.100.1",
  "203.0.113.1",
  "224.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::127.0.0.1",
  "::ffff:127.0.0.1",
  "::ffff:7f00:1",
  "::ffff:169.254.169.254",
  "::ffff:8.8.8.8",
  "64:ff9b::a9fe:a9fe",
  "64:ff9b:1::1",
  "100::1",
  "2001::1",
  "2001:db8::1",
  "2002:7f00:1::",
  "fc00::1",
  "fd00:ec2::254",
  "fe80::1",
  "fec0::1",
  "ff02::1",
  "localhost",
  "",
];

test.each(PRIVATE)("%s is not public", (address) => {
  expect(isPublic(address)).toBe(false);
});

test.each(PUBLIC)("%s is public", (address) => {
  expect(isPublic(address)).toBe(true);
});

const hosts = new WebhookHosts(["hooks.example.com", "*.wild.example"], at("1.1.1.1"));

const REFUSED = [
  "http://hooks.example.com/",
  "ftp://hooks.example.com/",
  "file:///etc/passwd",
  "gopher://hooks.example.com/",
  "https://user:word@hooks.example.com/",
  "https://hooks.example.com@evil.example/",
  "https://evil.example/?hooks.example.com",
  "https://evil.example/#@hooks.example.com",
  "https://hooks.example.com.evil.example/",
  "https://evilhooks.example.com/",
  "https://wild.example/",
  "https://evilwild.example/",
  "https://127.0.0.1/",
  "https://2130706433/",
  "https://0x7f.1/",
  "https://[::1]/",
  "https://[::ffff:127.0.0.1]/",
  "https://169.254.169.254/latest/meta-data/",
  "https://localhost/",
  "http://127.0.0.1/",
  "//hooks.example.com/",
  "hooks.example.com",
  "",
];

test.each(REFUSED)("%s is refused", (url) => {
  expect(hosts.check(url)).toMatchObject({ ok: false, error: { code: "WEBHOOK_REFUSED" } });
});

test("hosts that the operator named pass, in any case, and those below a wildcard", () => {
  for (const url of [
    "https://hooks.example.com/a?b",
    "https://HOOKS.example.com:8443/",
    "https://hooks.example.com./",
    "https://a.wild.example/",
    "https://a.b.wild.example/",
  ]) {
    expect(hosts.check(url).ok).toBe(true);
  }
});

describe("a name is looked up when it is sent to", () => {
  const url = "https://hooks.example.com/";

  test.each(PRIVATE.slice(0, -2))("and refused where it stands for %s", async (address) => {
    const resolved = await new WebhookHosts(["hooks.example.com"], at(address)).resolve(url);
    expect(resolved).toMatchObject({ ok: false, error: { code: "WEBHOOK_REFUSED" } });
  });

  test("and refused where only one of several addresses is private", async () => {
    const mixed = new WebhookHosts(["hooks.example.com"], at("1.1.1.1", "10.0.0.1"));
    expect((await mixed.resolve(url)).ok).toBe(false);
  });

  test("once: the connection goes to what was checked, not to what it says next", async () => {
    let asked = 0;
    const server = createServer((_request, response) => response.writeHead(204).end());
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const rebinding: Resolve = async () => {
      asked++;
      return [{ address: asked === 1 ? "127.0.0.1" : "10.0.0.1", family: 4 }];
    };
    // A name that no resolver knows: only the pinned address can be reached.
    const named = new WebhookHosts(["http://nowhere.invalid"], rebinding);
    const { port } = server.address() as AddressInfo;
    const address = await named.resolve(`http://nowhere.invalid:${port}/`);
    if (!address.ok) throw new Error(address.error.message);
    const message = { body: "{}", headers: { "Content-Length": "2" } };
    expect(await sendWebhook(address.value, message)).toEqual({ ok: true, value: 204 });
    expect(asked).toBe(1);
    server.close();
  });

  test("and plain HTTP goes to loopback alone", async () => {
    const plain = new WebhookHosts(["http://inside.example"], at("1.1.1.1"));
    const resolved = await plain.resolve("http://inside.example/");
    expect(resolved).toMatchObject({ ok: false, error: { code: "WEBHOOK_REFUSED" } });
  });
});

test("without a list webhooks are off", () => {
  const off = new WebhookHosts([]);
  expect(off.isOn).toBe(false);
  expect(off.check("https://hooks.example.com/").ok).toBe(false);
});

test("without a secret they cannot be turned on", () => {
  const webhookHosts = ["hooks.example.com"];
  expect(() => checkWebhookConfig({ webhookHosts, webhookSecret: undefined })).toThrow(
    /MILLRACE_WEBHOOK_SECRET_FILE is not set/,
  );
  checkWebhookConfig({ webhookHosts, webhookSecret: "a secret" });
  checkWebhookConfig({ webhookHosts: [], webhookSecret: undefined });
});

test("a redirect is not followed, and a long answer is not read", async () => {
  let requests = 0;
  const server = createServer((request, response) => {
    requests++;
    if (request.url === "/long") {
      const endless = setInterval(() => response.write("x".repeat(16_384)), 1);
      response.on("close", () => clearInterval(endless));
    } else {
      response.writeHead(302, { location: "/elsewhere" }).end();
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const message = { body: "{}", headers: { "Content-Length": "2" } };
  const send = (path: string) => {
    const url = new URL(`http://127.0.0.1:${port}${path}`);
    return sendWebhook({ url, address: "127.0.0.1", family: 4 }, message);
  };
  expect(await send("/moved")).toEqual({ ok: true, value: 302 });
  expect(await send("/long")).toEqual({ ok: true, value: 200 });
  expect(requests).toBe(2);
  server.closeAllConnections();
  server.close();
});
