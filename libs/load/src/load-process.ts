/** The process of the load generator: a stall of whoever started it does not stall the load. */

import { Corpus } from "./corpus.ts";
import { Generator } from "./generator.ts";
import { LedgerFile } from "./ledger-file.ts";
import type { Ended, LoadCommand, LoadReport } from "./messages.ts";
import type { LoadSettings } from "./settings.ts";

const REPORT_MS = 250;

interface Prepared {
  readonly settings: LoadSettings;
  readonly corpus: Corpus;
}

let prepared: Prepared | undefined;
let generator: Generator | undefined;

const report = (said: LoadReport): void => {
  process.send?.(said);
};

async function prepare(settings: LoadSettings): Promise<void> {
  const { urls, keys, mix, jobs, seed } = settings;
  const models = new Set(mix.map(({ model }) => model));
  if (jobs !== undefined) models.add(jobs.model);
  const corpus = await Corpus.gather(urls[0] ?? "", keys, [...models], seed);
  prepared = { settings, corpus };
  report({ type: "ready" });
}

async function run({ settings, corpus }: Prepared): Promise<void> {
  const ledger = new LedgerFile(settings.ledgerFile);
  let ended: Ended[] = [];
  let jobsEnded = 0;
  using own = new Generator(settings, corpus, (entry) => {
    ledger.add(entry);
    if (entry.type === "request") ended.push(entry);
    else jobsEnded++;
  });
  generator = own;
  const timer = setInterval(() => {
    report({ type: "progress", ended, open: own.open, jobsEnded });
    ended = [];
  }, REPORT_MS);
  report({ type: "began", atUs: Math.round((performance.timeOrigin + performance.now()) * 1000) });
  await own.run();
  clearInterval(timer);
  await ledger.close();
  report({ type: "progress", ended, open: 0, jobsEnded });
  report({ type: "ended" });
  process.disconnect();
}

function obey(command: LoadCommand): Promise<void> | undefined {
  switch (command.op) {
    case "prepare":
      return prepare(command.settings);
    case "begin":
      if (prepared === undefined) throw new Error("the load was begun before it was prepared");
      return run(prepared);
    case "factor":
      if (generator !== undefined) generator.factor = command.value;
      return undefined;
    case "poison":
      if (generator !== undefined) generator.poison = command.value;
      return undefined;
    case "stop":
      generator?.stop();
      return undefined;
  }
}

process.on("message", (command: LoadCommand) => {
  obey(command)?.catch((error: unknown) => {
    report({ type: "failed", message: error instanceof Error ? error.message : String(error) });
    process.disconnect();
  });
});
// Whoever started it is gone: nobody reads the figures, and the cluster is not theirs to load.
process.on("disconnect", () => process.exit());
