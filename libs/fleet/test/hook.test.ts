/** The command hook against commands that do not keep to the protocol. */

import { describe, expect, test } from "vitest";
import { HookFleet } from "../src/index.ts";
import { POOLS } from "./pools.ts";

const run = (script: string, timeoutMs = 5_000): HookFleet =>
  new HookFleet({ command: "/bin/sh", args: ["-c", script], pools: POOLS, timeoutMs });

describe("a hook", () => {
  test("that fails is tried again, and its words are shown", async () => {
    await using driver = run("echo 'no route to the machine room' >&2; exit 3");
    expect(await driver.list()).toEqual({
      ok: false,
      error: {
        code: "REFUSED",
        message: "/bin/sh (list) ended with exit 3: no route to the machine room",
        retry: true,
      },
    });
  });

  test("that says no is not tried again, unless it says so", async () => {
    await using no = run(`echo '{"v":1,"error":{"message":"over the quota"}}'`);
    const refused = { code: "REFUSED", message: "/bin/sh (scale): over the quota" };
    expect(await no.scale(POOLS[0], 2)).toMatchObject({ error: { ...refused, retry: false } });
    await using later = run(`echo '{"v":1,"error":{"message":"over the quota","retry":true}}'`);
    expect(await later.scale(POOLS[0], 2)).toMatchObject({ error: { ...refused, retry: true } });
  });

  test("is told the epoch of the lease with what changes something", async () => {
    let epoch: number | undefined = 41;
    const script = `read -r asked; printf '{"v":1,"error":{"message":"%s"}}' "$(echo "$asked" | tr '"' "'")"`;
    await using driver = new HookFleet({
      command: "/bin/sh",
      args: ["-c", script],
      pools: POOLS,
      epoch: () => epoch,
    });
    const askedBy = async (call: Promise<{ ok: boolean }>): Promise<string> =>
      JSON.stringify(await call);
    expect(await askedBy(driver.scale(POOLS[0], 2))).toContain("'epoch':41");
    expect(await askedBy(driver.list())).not.toContain("epoch");
    epoch = 42;
    expect(await askedBy(driver.scale(POOLS[0], 2))).toContain("'epoch':42");
  });

  test("that hangs is ended with what it started, and so is one that does not read", async () => {
    const startedAt = performance.now();
    await using driver = run("sleep 30 & sleep 30", 100);
    expect(await driver.list()).toMatchObject({ error: { code: "TIMED_OUT", retry: true } });
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  test("that answers something else is told what was expected, and where", async () => {
    const member = `{"id":"a b","kind":"gpu","zone":"east","lifecycle":"spot","state":"ready"}`;
    const answers: readonly (readonly [string, RegExp])[] = [
      ["", /the document/],
      ["not json", /it wrote \\?"not json/],
      [`{"v":2,"members":[],"pools":[]}`, /v: /],
      [`{"v":1,"members":[${member}],"pools":[]}`, /members\.0\.id/],
      [`{"v":1,"members":[],"pools":[]}`, /no expected count for the pool gpu\/east\/on-demand/],
      [
        `{"v":1,"members":[],"pools":[{"kind":"gpu","zone":"east","lifecycle":"spot","expected":-1}]}`,
        /pools\.0\.expected/,
      ],
    ];
    for (const [answer, expected] of answers) {
      await using driver = run(`printf '%s' '${answer}'`);
      const listed = await driver.list();
      expect(listed).toMatchObject({ error: { code: "MALFORMED", retry: true } });
      expect(!listed.ok && listed.error.message).toMatch(expected);
    }
  });

  test("that writes without an end is cut off", async () => {
    await using driver = run("yes");
    expect(await driver.list()).toMatchObject({ error: { code: "MALFORMED" } });
  });

  test("that does not exist is refused", async () => {
    await using driver = new HookFleet({ command: "/no/such/hook", args: [], pools: POOLS });
    expect(await driver.list()).toMatchObject({ error: { code: "REFUSED", retry: false } });
  });
});
