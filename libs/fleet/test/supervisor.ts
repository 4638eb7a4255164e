/** A supervisor in a process of its own, for the test that kills it: prints its children's ids. */

import { supervise } from "../src/index.ts";

const children = [1, 2].map((number) =>
  supervise({ name: `child-${number}`, command: "sleep", args: ["60"] }),
);
console.log(children.map((child) => child.pid).join(" "));
