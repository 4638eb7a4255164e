/** `millrace model push-examples`: the example models, for a cluster that no `up` started. */

import type { Command } from "commander";
import { exampleModels } from "@millrace/examples";
import { openCluster } from "./connect.ts";
import { pushModel } from "./push.ts";
import { waitUntilReady } from "./ready.ts";

const READY_MS_MAX = 120_000;

export function registerPushExamples(model: Command): void {
  model
    .command("push-examples")
    .summary("store the example models, and serve them")
    .description("Pushes digits and sms-spam; one that is there already stays as it is.")
    .action(async () => {
      const report = (line: string): void => console.error(line);
      await using cluster = await openCluster();
      for (const { name, file, options } of exampleModels()) {
        const declaration = { ...options, name, file };
        const { ref, record } = await pushModel(cluster.store, declaration, report);
        if (!record.loaded) continue;
        await waitUntilReady(cluster.bus, ref, { timeoutMs: READY_MS_MAX, report });
        console.log(`${ref} is served`);
      }
    });
}
