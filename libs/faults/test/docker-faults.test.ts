/** What the tools in containers print, read. */

import { expect, test } from "vitest";
import { packetsDropped } from "../src/docker-faults.ts";

test("packets that were dropped are counted: of the port, and by no other rule", () => {
  const list = `Chain INPUT (policy ACCEPT 7 packets, 420 bytes)
    pkts      bytes target     prot opt in     out     source               destination
      12      720 DROP       6    --  *      *       0.0.0.0/0            0.0.0.0/0            tcp spt:4222
      99      720 DROP       6    --  *      *       0.0.0.0/0            0.0.0.0/0            tcp spt:42222
      55      720 ACCEPT     6    --  *      *       0.0.0.0/0            0.0.0.0/0            tcp spt:4222

Chain OUTPUT (policy ACCEPT 0 packets, 0 bytes)
    pkts      bytes target     prot opt in     out     source               destination
       3      180 DROP       6    --  *      *       0.0.0.0/0            0.0.0.0/0            tcp dpt:4222
`;
  expect(packetsDropped(list, 4222)).toBe(15);
  expect(packetsDropped("", 4222)).toBe(0);
});
