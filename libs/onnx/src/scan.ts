/**
 * The first look at a file that somebody pushed: is it an ONNX model that a worker may open?
 *
 * One pass over the bytes, before any parser that trusts them. Time is linear in the file; memory
 * is the names of inputs, initializers and operators, which are part of the file. What it accepts
 * is complete in itself: no data outside the file, no operators of a domain that onnxruntime does
 * not carry, and every tensor as large as its dimensions say.
 */

import { type Fault, fault, FaultError, TENSORS_MAX } from "@millrace/protocol";
import { fail, formatBytes, ok, type Result } from "@millrace/std";
import { corrupt, shown, WireReader } from "./reader.ts";
import { elementCount, readDims, scanTensor, type TensorScan } from "./scan-tensor.ts";
import { type ModelValue, scanValue } from "./scan-value.ts";

export type { ModelValue } from "./scan-value.ts";

export interface ScanLimits {
  readonly bytesMax: number;
  readonly nodesMax: number;
  readonly initializersMax: number;
  /** How deep graphs may stand inside operators such as If and Loop. */
  readonly subgraphDepthMax: number;
}

/** Protobuf itself ends at 2 GiB; the largest published graphs have some 20,000 nodes. */
export const SCAN_LIMITS: ScanLimits = {
  bytesMax: 2 ** 31 - 1,
  nodesMax: 65_536,
  initializersMax: 65_536,
  subgraphDepthMax: 4,
};

/** What a file says about itself; subgraphs are counted in. */
export interface ModelScan {
  readonly irVersion: number;
  /** Version of the ONNX operator set. */
  readonly opset: number;
  readonly producer: string;
  /** What a request must give: the graph's inputs that have no initializer. */
  readonly inputs: readonly ModelValue[];
  readonly outputs: readonly ModelValue[];
  /** How often each operator is used; those of other domains are `domain.Operator`. */
  readonly operators: ReadonlyMap<string, number>;
  readonly nodes: number;
  readonly initializers: number;
  /** Elements of all stored tensors, and the bytes that they take in the file. */
  readonly parameters: number;
  readonly weightBytes: number;
}

/** Domains whose operators onnxruntime carries; the empty one is ONNX itself, as is `ai.onnx`. */
const DOMAINS: readonly string[] = ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"];
const isOnnx = (domain: string): boolean => domain === "" || domain === "ai.onnx";

/** Fails with MODEL_CORRUPT, MODEL_UNSUPPORTED or MODEL_TOO_LARGE; never throws on any bytes. */
export function scanModel(
  file: Uint8Array,
  limits: ScanLimits = SCAN_LIMITS,
): Result<ModelScan, Fault> {
  if (file.length > limits.bytesMax) {
    return fail(
      fault(
        "MODEL_TOO_LARGE",
        `the file has ${formatBytes(file.length)}, at most ${formatBytes(limits.bytesMax)}`,
      ),
    );
  }
  try {
    return ok(new Scan(file, limits).model());
  } catch (error) {
    if (error instanceof FaultError) return fail(error.fault);
    throw error;
  }
}

const unsupported = (message: string): FaultError => new FaultError("MODEL_UNSUPPORTED", message);

class Scan {
  readonly #file: Uint8Array;
  readonly #limits: ScanLimits;
  readonly #operators = new Map<string, number>();
  #nodes = 0;
  #initializers = 0;
  #parameters = 0;
  #weightBytes = 0;

  constructor(file: Uint8Array, limits: ScanLimits) {
    this.#file = file;
    this.#limits = limits;
  }

  model(): ModelScan {
    const reader = new WireReader(this.#file);
    let irVersion = 0;
    let opset = 0;
    let producer = "";
    let graph: Pick<ModelScan, "inputs" | "outputs"> | undefined;
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      if (field === 1) irVersion = Number(reader.int());
      else if (field === 2) producer = reader.string();
      else if (field === 7) {
        if (graph !== undefined) throw corrupt("there are two graphs, expected one");
        graph = this.#topGraph(reader.message());
      } else if (field === 8) opset = scanOpset(reader.message()) ?? opset;
      else if (field === 20)
        throw unsupported("the file holds training steps, expected a model only");
      else if (field === 25) throw unsupported("the file holds functions, expected them inlined");
      else reader.skip();
    }
    if (irVersion < 1) throw corrupt("this is no ONNX file: it has no IR version");
    if (graph === undefined) throw corrupt("the file has no graph");
    if (opset < 1) throw corrupt("the file does not say its ONNX operator set version");
    return {
      irVersion,
      opset,
      producer,
      ...graph,
      operators: this.#operators,
      nodes: this.#nodes,
      initializers: this.#initializers,
      parameters: this.#parameters,
      weightBytes: this.#weightBytes,
    };
  }

  #topGraph(reader: WireReader): Pick<ModelScan, "inputs" | "outputs"> {
    const inputs: ModelValue[] = [];
    const outputs: ModelValue[] = [];
    const initialized = new Set<string>();
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      if (field === 11) {
        // Before IR 4 every initializer was an input too, so these have the initializers' bound.
        if (inputs.push(scanValue(reader.message(), "input")) > this.#limits.initializersMax) {
          throw tooMany("inputs", this.#limits.initializersMax);
        }
      } else if (field === 12) {
        if (outputs.push(scanValue(reader.message(), "output")) > TENSORS_MAX) {
          throw tooMany("outputs", TENSORS_MAX);
        }
      } else {
        this.#graphField(field, reader, 0, initialized);
      }
    }
    const given = inputs.filter(({ name }) => !initialized.has(name));
    if (given.length > TENSORS_MAX) throw tooMany("inputs", TENSORS_MAX);
    if (given.length === 0) throw unsupported("the graph has no inputs, expected at least one");
    if (outputs.length === 0) throw corrupt("the graph has no outputs, expected at least one");
    return { inputs: given, outputs };
  }

  #subgraph(reader: WireReader, depth: number): void {
    if (depth > this.#limits.subgraphDepthMax) {
      throw unsupported(`subgraphs are nested more than ${this.#limits.subgraphDepthMax} deep`);
    }
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      this.#graphField(field, reader, depth);
    }
  }

  /** The fields that a model's graph and a subgraph share. */
  #graphField(field: number, reader: WireReader, depth: number, initialized?: Set<string>): void {
    if (field === 1) this.#node(reader.message(), depth);
    else if (field === 5) {
      this.#countInitializer();
      const name = this.#tensor(reader.message(), "initializer");
      initialized?.add(name);
    } else if (field === 15) {
      this.#countInitializer();
      const name = this.#sparseTensor(reader.message(), "sparse initializer");
      initialized?.add(name);
    } else reader.skip();
  }

  #countInitializer(): void {
    if (++this.#initializers > this.#limits.initializersMax) {
      throw tooMany("initializers", this.#limits.initializersMax);
    }
  }

  #node(reader: WireReader, depth: number): void {
    if (++this.#nodes > this.#limits.nodesMax) throw tooMany("nodes", this.#limits.nodesMax);
    let operator = "";
    let domain = "";
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      if (field === 4) operator = reader.string();
      else if (field === 5) this.#attribute(reader.message(), depth);
      else if (field === 7) domain = reader.string();
      else reader.skip();
    }
    if (operator === "") throw corrupt(`node ${this.#nodes} names no operator`);
    if (!DOMAINS.includes(domain)) {
      throw unsupported(
        `operator ${shown(operator)} is of domain ${shown(domain)}, expected ${DOMAINS.slice(1).join(", ")}`,
      );
    }
    const name = isOnnx(domain) ? operator : `${domain}.${operator}`;
    this.#operators.set(name, (this.#operators.get(name) ?? 0) + 1);
  }

  #attribute(reader: WireReader, depth: number): void {
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      if (field === 5 || field === 10) this.#tensor(reader.message(), "attribute tensor");
      else if (field === 6 || field === 11) this.#subgraph(reader.message(), depth + 1);
      else if (field === 22 || field === 23) {
        this.#sparseTensor(reader.message(), "sparse attribute tensor");
      } else reader.skip();
    }
  }

  /** Returns the tensor's name. */
  #tensor(reader: WireReader, where: string): string {
    const tensor = scanTensor(reader, where, this.#file.length);
    this.#count(tensor);
    return tensor.name;
  }

  /** onnxruntime makes sparse tensors dense: what that takes has the file's own limit. */
  #sparseTensor(reader: WireReader, where: string): string {
    const dims: (number | bigint)[] = [];
    let name = "";
    let elementBits = 0;
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      if (field === 1) {
        const values = scanTensor(reader.message(), `${where} values`, this.#file.length);
        this.#count(values);
        ({ name, elementBits } = values);
      } else if (field === 2) this.#tensor(reader.message(), `${where} indices`);
      else if (field === 3) readDims(reader, dims, where);
      else reader.skip();
    }
    const bits = elementCount(dims, 8 * this.#limits.bytesMax, where) * Math.max(1, elementBits);
    if (bits > 8 * this.#limits.bytesMax) {
      throw new FaultError(
        "MODEL_TOO_LARGE",
        `${where} is larger than ${formatBytes(this.#limits.bytesMax)} when made dense`,
      );
    }
    return name;
  }

  #count(tensor: TensorScan): void {
    this.#parameters += tensor.elements;
    this.#weightBytes += tensor.bytes;
  }
}

/** The version of ONNX's own operator set, undefined for one of another domain. */
function scanOpset(reader: WireReader): number | undefined {
  let domain = "";
  let version = 0;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) domain = reader.string();
    else if (field === 2) version = Number(reader.int());
    else reader.skip();
  }
  return isOnnx(domain) ? version : undefined;
}

const tooMany = (what: string, most: number): FaultError =>
  new FaultError("MODEL_TOO_LARGE", `the graph has more than ${most} ${what}`);
