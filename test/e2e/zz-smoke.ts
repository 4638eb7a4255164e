/** tmp */
import { startCluster } from "../support/cluster.ts";
import { affine, laborious, rows4, row512 } from "../support/built-models.ts";
import { ask } from "../support/inference.ts";
import { Members } from "../support/members.ts";
const t0 = performance.now();
const lap = (w: string) => console.log(w, (performance.now() - t0).toFixed(0));
await using cluster = await startCluster({
  models: [affine("double", { factor: 2, offset: 1 }), laborious("work", 40)],
  logLevel: "info",
  env: { "gpu-worker": { MILLRACE_DEVICE: "emulated" } },
});
lap("ready");
const members = new Members(cluster.bus);
try {
  console.log(await ask(cluster, "double", [rows4([1, 2, 3, 4])]));
} catch (e) {
  console.log(String(e));
  await new Promise((r) => setTimeout(r, 500));
  for (const id of cluster.ids) console.log(id, cluster.lines(id).slice(-16).join("\n"));
}
console.log(await ask(cluster, "double", [rows4([1, 2, 3, 4])], { send: "binary", id: "a" }));
for (let i = 0; i < 5; i++) {
  const t = performance.now();
  const a = await ask(cluster, "work", [row512(i)], { send: "binary" });
  console.log(a.status, a.outputs[0]?.data.slice(0, 3), performance.now() - t);
}
await cluster.until(
  "both",
  () => members.holds("gpu-worker-1", "work@1") && members.holds("cpu-worker-1", "work@1"),
);
lap("both");
console.log(
  JSON.stringify(members.residents("gpu-worker-1")),
  JSON.stringify(members.residents("cpu-worker-1")),
);
const r = await cluster.fetch("/v2/models/work/stats");
console.log(await r.text());
for (const id of cluster.ids) console.log(id, cluster.lines(id).slice(-16).join("\n"));
