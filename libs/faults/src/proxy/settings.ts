/** What a fault proxy is told, in a file of its own: the links, where it is controlled, by whom. */

import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import * as v from "valibot";

const port = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(65_535));

export const proxySettingsSchema = v.object({
  v: v.literal(1),
  controlPort: port,
  /** Whoever controls it shows this. */
  token: v.pipe(v.string(), v.minLength(32)),
  links: v.pipe(
    v.array(
      v.object({
        member: v.string(),
        listens: v.array(v.object({ port, upstream: v.object({ host: v.string(), port }) })),
      }),
    ),
    v.maxLength(1_000),
  ),
});
export type ProxySettings = v.InferOutput<typeof proxySettingsSchema>;

/** Only its owner reads the file: the token in it lets one break the cluster's links. */
export async function writeProxySettings(
  path: string,
  settings: Omit<ProxySettings, "v" | "token">,
): Promise<ProxySettings> {
  const token = randomBytes(32).toString("base64url");
  const written = { v: 1, token, ...settings } as const;
  await writeFile(path, `${JSON.stringify(written, undefined, 2)}\n`, { mode: 0o600 });
  return written;
}

/** `nats://host:port` as a proxy dials it. */
export function upstreamOf(url: string): { readonly host: string; readonly port: number } {
  const { hostname, port: given } = new URL(url);
  return { host: hostname, port: Number(given || 4222) };
}
