/** `millrace key`: the API keys that the ingress accepts. */

import { join } from "node:path";
import type { Command } from "commander";
import { formatTable } from "@millrace/std";
import { createKey, readKeys, revokeKey } from "./keys.ts";
import { clusterDirectory } from "./state.ts";

interface FileOption {
  readonly file?: string;
}

const fileOf = ({ file }: FileOption): string =>
  file || process.env.MILLRACE_API_KEYS_FILE || join(clusterDirectory(), "api-keys.jsonl");

export function registerKey(program: Command): void {
  const key = program
    .command("key")
    .summary("make, list and revoke API keys")
    .helpCommand(false)
    .description(
      "Works on the file of API keys that the ingress reads. It holds hashes, never a key.",
    );
  const onFile = (command: Command): Command =>
    command.option(
      "--file <path>",
      "the file of keys (default: MILLRACE_API_KEYS_FILE, else that of the cluster of `up`)",
    );
  onFile(key.command("create"))
    .summary("make a key")
    .description("Makes a key and prints it, this once.")
    .argument("[name]", "who or what it is for", "")
    .action(async (name: string, options: FileOption) => {
      const file = fileOf(options);
      const made = await createKey(file, name, new Date());
      console.error(`key ${made.entry.id} was added to ${file}; it is not shown again:`);
      console.log(made.key);
    });
  onFile(key.command("list"))
    .summary("list the keys")
    .description("Lists the keys by id.")
    .action(async (options: FileOption) => {
      const file = fileOf(options);
      const rows = (await readKeys(file)).map(({ id, name, createdAt }) => [id, createdAt, name]);
      if (rows.length === 0) console.log(`${file} holds no keys`);
      else console.log(formatTable([["ID", "CREATED", "NAME"], ...rows]));
    });
  onFile(key.command("revoke"))
    .summary("remove a key")
    .description("Removes a key; the ingress refuses it once it has read the file again.")
    .argument("<id>", "of the key, as `key list` shows it")
    .action(async (id: string, options: FileOption) => {
      const { name } = await revokeKey(fileOf(options), id);
      console.log(`key ${id}${name === "" ? "" : ` (${name})`} is revoked`);
    });
}
