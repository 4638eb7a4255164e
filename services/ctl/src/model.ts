/** `millrace model`: what is served, and by which version. */

import type { Command } from "commander";
import { type Fault, fault, type ModelRecord, modelRef } from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";
import {
  activate,
  digestsOf,
  removeVersion,
  rollback,
  setLoaded,
  type Store,
  sweepBlobs,
} from "@millrace/store";
import { type Cluster, openCluster } from "./connect.ts";
import { usageError, valueOf } from "./failure.ts";
import { registerPushExamples } from "./model-examples.ts";
import { registerPush } from "./model-push.ts";
import { renderModel, renderModels } from "./model-view.ts";
import { splitModel } from "./names.ts";
import { parseSeconds, waitUntilReady } from "./ready.ts";

interface JsonOption {
  readonly json?: true;
}

interface WaitOption {
  readonly timeout: string;
  readonly wait: boolean;
}

export function registerModel(program: Command): void {
  const model = program
    .command("model")
    .summary("store, list and switch models")
    .helpCommand(false)
    .description(
      "Works on the registry of models, over NATS at MILLRACE_NATS_URL (or of `millrace up`).",
    );
  registerPush(model);
  registerPushExamples(model);
  model
    .command("list")
    .summary("list every model")
    .description("Lists every model with the version that answers.")
    .option("--json", "print the records as JSON")
    .action(runList);
  model
    .command("show")
    .summary("show a model's signature, provenance and versions")
    .description("Shows one model: signature, batching, provenance and versions.")
    .argument("<name>", "the model")
    .option("--json", "print the record as JSON")
    .action(runShow);
  const waiting = (command: Command): Command =>
    command
      .option("--timeout <seconds>", "longest wait for a worker to have it ready", "120")
      .option("--no-wait", "do not wait for a worker to have it ready");
  waiting(model.command("load"))
    .summary("serve a model again")
    .description("Serves a model again after `unload`.")
    .argument("<name>", "the model")
    .action(runLoad);
  model
    .command("unload")
    .summary("take a model off the devices")
    .description("Takes a model off the devices and refuses its requests until `load`.")
    .argument("<name>", "the model")
    .action(runUnload);
  waiting(model.command("rollback"))
    .summary("return to an earlier version")
    .description("Returns to the version that answered before, or to NAME@VERSION.")
    .argument("<name>", "the model, or the version that is to answer: NAME or NAME@VERSION")
    .action(runRollback);
  model
    .command("remove")
    .summary("remove a version or a model")
    .description(
      "Removes a version that is not active, or the whole model, and files that no model needs.",
    )
    .argument("<name>", "NAME@VERSION for one version, NAME for the whole model")
    .option("--yes", "confirms that the whole model goes")
    .action(runRemove);
}

async function runList({ json }: JsonOption): Promise<void> {
  await using cluster = await openCluster();
  const records = valueOf(await cluster.store.registry.list());
  console.log(json ? JSON.stringify(records) : renderModels(records));
}

async function runShow(name: string, { json }: JsonOption): Promise<void> {
  await using cluster = await openCluster();
  const record = valueOf(found(name, valueOf(await cluster.store.registry.get(name))));
  console.log(json ? JSON.stringify(record) : renderModel(record));
}

async function runLoad(name: string, options: WaitOption): Promise<void> {
  await using cluster = await openCluster();
  const record = await change(cluster.store, name, (before) => setLoaded(before, true));
  console.log(`${modelRef(name, record.active)} is to be loaded`);
  await waitFor(cluster, record, options);
}

async function runUnload(name: string): Promise<void> {
  await using cluster = await openCluster();
  await change(cluster.store, name, (before) => setLoaded(before, false));
  console.log(`${name} is unloaded; \`millrace model load ${name}\` serves it again`);
}

async function runRollback(model: string, options: WaitOption): Promise<void> {
  const { name, version } = splitModel(model);
  await using cluster = await openCluster();
  const record = await change(cluster.store, name, (before) =>
    version === undefined ? rollback(before) : activate(before, version),
  );
  console.log(`${modelRef(name, record.active)} is active`);
  if (record.loaded) await waitFor(cluster, record, options);
}

async function runRemove(model: string, { yes }: { readonly yes?: true }): Promise<void> {
  const { name, version } = splitModel(model);
  if (version === undefined && !yes) {
    throw usageError(`this removes ${name} with all its versions`, "confirm with --yes");
  }
  await using cluster = await openCluster();
  const { registry } = cluster.store;
  let before: ModelRecord | undefined;
  valueOf(
    await registry.update(name, (record) => {
      before = record;
      const known = found(name, record);
      if (!known.ok) return known;
      return version === undefined ? ok(undefined) : removeVersion(known.value, version);
    }),
  );
  // After the record, so that nothing points to a blob that is gone.
  const gone = before === undefined ? [] : [before];
  const swept = await sweepBlobs(cluster.store, gone, Date.now());
  const own = new Set(gone.flatMap(digestsOf));
  const isFileGone = swept.ok && swept.value.some((digest) => own.has(digest));
  console.log(`${model} is removed${isFileGone ? ", and its file" : ""}`);
  const others = valueOf(swept).filter((digest) => !own.has(digest));
  for (const digest of others) console.log(`blob ${digest} is removed: no model needs it`);
}

/** @throws CommandError where there is no such model, or the change is refused. */
async function change(
  store: Store,
  name: string,
  step: (record: ModelRecord) => Result<ModelRecord, Fault>,
): Promise<ModelRecord> {
  const updated = await store.registry.update(name, (record) => {
    const known = found(name, record);
    return known.ok ? step(known.value) : known;
  });
  return valueOf(found(name, valueOf(updated)));
}

function found(name: string, record: ModelRecord | undefined): Result<ModelRecord, Fault> {
  return record === undefined
    ? fail(fault("MODEL_NOT_FOUND", `there is no model ${name}`))
    : ok(record);
}

async function waitFor(cluster: Cluster, record: ModelRecord, options: WaitOption): Promise<void> {
  const timeoutMs = parseSeconds(options.timeout);
  if (!options.wait) return;
  const report = (line: string): void => console.error(line);
  await waitUntilReady(cluster.bus, modelRef(record.name, record.active), { timeoutMs, report });
}
