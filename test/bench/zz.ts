import { cpu } from "./zzcpu.ts";
import { startCluster } from "../support/cluster.ts";
import { Load } from "./load.ts";
import { benchModels } from "./models.ts";
import { inferRequest, requestBytes } from "./requests.ts";
const prof = process.argv[3] === "prof" ? { NODE_OPTIONS: "--cpu-prof --cpu-prof-dir=/tmp/prof" } : process.argv[3] === "hook" ? { NODE_OPTIONS: "--import /tmp/hook.mjs" } : {} as Record<string, string>;
const name = process.argv[2] ?? "tiny";
const conns = (process.argv[4] ?? "1,64").split(",").map(Number);
const models = benchModels().filter((m) => m.name === name);
await using load = await Load.start();
await using cluster = await startCluster({ counts: { ingress: 1, scheduler: 1, "cpu-worker": 1, "gpu-worker": 0 }, models, env: { "cpu-worker": { MILLRACE_THREADS: "1", ...prof }, ingress: prof, scheduler: prof } });
for (const model of models) for (const connections of conns) for (let r = 0; r < 2; r++) {
  const a = cpu();
  const f = await load.run({ host: cluster.host, port: cluster.port, request: requestBytes(cluster, inferRequest(cluster, model)), connections, warmMs: 1000, runMs: Number(process.argv[5] ?? 3000) });
  console.log(model.name, connections, Math.round(f.perSecond), f.p50Us, f.p99Us, f.failures, f.firstFailure ?? "", [...cpu()].map(([k, v]) => k.slice(0, 12) + " " + ((v - (a.get(k) ?? 0)) / (f.perSecond * 4)).toFixed(1)).join(" | "));
}
const seen: any[] = []; cluster.bus.connection.subscribe("_INBOX_admin.zz", { callback: (_e, m) => seen.push(m.json()) }); cluster.bus.connection.publish("$SRV.STATS", undefined, { reply: "_INBOX_admin.zz" }); await new Promise((r) => setTimeout(r, 300)); for (const s of seen) console.log(s.name, JSON.stringify(s.endpoints).slice(0, 900));
for (const id of cluster.ids) for (const l of cluster.lines(id).slice(-5)) console.log(id, l.slice(0, 300));
