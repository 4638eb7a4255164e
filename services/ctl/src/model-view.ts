/** Models of the registry as text. */

import { type ModelRecord, modelRef, type ModelSpec, type TensorSpec } from "@millrace/protocol";
import { formatBytes, formatTable, present } from "@millrace/std";

export const activeSpec = (record: ModelRecord): ModelSpec =>
  present(record.versions[record.active], `${record.name}@${record.active}`);

export function renderModels(records: readonly ModelRecord[]): string {
  if (records.length === 0) return "no models; `millrace model push` adds one";
  const rows = records.map((record) => {
    const spec = activeSpec(record);
    return [
      modelRef(record.name, record.active),
      record.loaded ? "loaded" : "unloaded",
      String(Object.keys(record.versions).length),
      formatBytes(spec.bytes),
      spec.maxBatch === 0 ? "-" : String(spec.maxBatch),
      spec.provenance.licence,
      spec.provenance.upstreamName,
    ];
  });
  const head = ["MODEL", "STATE", "VERSIONS", "SIZE", "BATCH", "LICENCE", "UPSTREAM NAME"];
  return formatTable([head, ...rows]);
}

const tensor = ({ name, datatype, shape }: TensorSpec): string =>
  `${name} ${datatype} [${shape.join(",")}]`;

export function renderModel(record: ModelRecord): string {
  const spec = activeSpec(record);
  const { padding, image, provenance } = spec;
  const facts: (readonly [string, string])[] = [
    ["model", modelRef(record.name, record.active)],
    ["state", record.loaded ? "loaded" : "unloaded: requests are refused until `model load`"],
    ["inputs", spec.inputs.map(tensor).join(", ")],
    ["outputs", spec.outputs.map(tensor).join(", ")],
    ["max batch", spec.maxBatch === 0 ? "none: one request at a time" : String(spec.maxBatch)],
  ];
  if (padding !== undefined) {
    const { axis, value, lengthMax, inputs } = padding;
    const text = `${inputs.join(", ")} along axis ${axis} with ${value}, up to ${lengthMax}`;
    facts.push(["padding", text]);
  }
  if (spec.labels !== undefined) facts.push(["labels", spec.labels.join(", ")]);
  if (image !== undefined) {
    const { width, height, channels, layout, scale, offset } = image;
    const size = `${width}x${height}x${channels} ${layout}`;
    facts.push(["image", `${size}, pixels times ${scale} plus ${offset}`]);
  }
  if (spec.text !== undefined) facts.push(["text", `tokenizer ${spec.text}`]);
  facts.push(["source", provenance.source], ["upstream name", provenance.upstreamName]);
  facts.push(["licence", provenance.licence]);
  if (provenance.notes !== undefined) facts.push(["notes", provenance.notes]);
  return `${formatTable(facts)}\n\n${renderVersions(record)}`;
}

function renderVersions(record: ModelRecord): string {
  const rows = Object.values(record.versions)
    .toSorted((a, b) => b.version - a.version)
    .map((spec) => [
      String(spec.version),
      spec.version === record.active
        ? "active"
        : spec.version === record.previous
          ? "previous"
          : "",
      formatBytes(spec.bytes),
      spec.createdAt,
      spec.digest,
    ]);
  return formatTable([["VERSION", "", "SIZE", "CREATED", "SHA-256"], ...rows]);
}
