/** The server's configuration as text; what it means is tested on a real server. */

import { describe, expect, test } from "vitest";
import { renderServerConfig, type ServerConfig, type User, USERS } from "../src/index.ts";

const publicKeys = Object.fromEntries(USERS.map((user) => [user, `U${user}`])) as Record<
  User,
  string
>;
const render = (options: Partial<ServerConfig> = {}): string =>
  renderServerConfig({ publicKeys, storeDirectory: "/data", port: 4222, ...options });

describe("the configuration", () => {
  test("listens on loopback only unless told otherwise", () => {
    expect(render()).toContain('listen: "127.0.0.1:4222"');
    expect(render({ host: "0.0.0.0" })).toContain('listen: "0.0.0.0:4222"');
  });

  test("has a monitor only when asked, and never beyond loopback, for it asks for no key", () => {
    expect(render()).not.toContain("http");
    expect(render({ monitorPort: 8222, host: "0.0.0.0" })).toContain('http: "127.0.0.1:8222"');
  });

  test("has no user without a key and no way around authentication", () => {
    const lines = render().split("\n");
    const keys = lines.filter((line) => line.trim().startsWith("nkey:"));
    expect(keys).toHaveLength(USERS.length);
    expect(lines.filter((line) => /^\s*no_auth_user|password|token/.test(line))).toEqual([]);
    for (const surface of ["websocket", "mqtt", "leafnodes", "gateway", "cluster"]) {
      expect(render()).not.toContain(surface);
    }
  });

  test("acknowledges a stored message only once it is on the disk", () => {
    expect(render()).toContain("sync_interval: always");
  });
});
