/**
 * Decides whether a tensor in an untrusted file is what it says: its data in the file, and exactly
 * as much of it as its dimensions need. Nothing is copied; elements are counted, not kept.
 */

import { FaultError } from "@millrace/protocol";
import { ELEMENT_TYPES, type ElementType } from "./elements.ts";
import { corrupt, shown, type WireReader } from "./reader.ts";

/** More dimensions than any operator takes; a bound on the list that is read. */
const STORED_RANK_MAX = 32;
/** The smallest element that takes any space is 2 bits, so a byte holds at most 4. */
const ELEMENTS_PER_BYTE_MAX = 4;

export interface TensorScan {
  readonly name: string;
  readonly elements: number;
  /** Bytes of the data as stored in the file. */
  readonly bytes: number;
  readonly elementBits: number;
}

interface Contents {
  name: string;
  dataType: number | bigint;
  readonly dims: (number | bigint)[];
  rawBytes: number | undefined;
  /** Entries in each typed field. */
  readonly entries: Record<ElementType["storage"], number>;
  typedBytes: number;
}

/** @param where what the tensor is, for messages: `initializer`, `attribute value of node 'x'` */
export function scanTensor(reader: WireReader, where: string, fileBytes: number): TensorScan {
  const contents = readContents(reader, where);
  const label = contents.name === "" ? where : `${where} ${shown(contents.name)}`;
  const type = ELEMENT_TYPES.get(Number(contents.dataType));
  if (type === undefined) {
    throw new FaultError(
      "MODEL_UNSUPPORTED",
      `${label} has element type ${contents.dataType}, expected one of 1 to ${ELEMENT_TYPES.size}`,
    );
  }
  const elements = elementCount(contents.dims, fileBytes * ELEMENTS_PER_BYTE_MAX, label);
  if (elements === Infinity) {
    throw corrupt(`${label} of [${contents.dims.join(", ")}] does not fit into the file`);
  }
  checkData(contents, type, elements, label);
  return {
    name: contents.name,
    elements,
    bytes: contents.rawBytes ?? contents.typedBytes,
    elementBits: type.bits,
  };
}

/**
 * The product of the dimensions, Infinity where it is more than `elementsMax`. It never overflows:
 * it stops at the first factor past the bound, and a dimension of 2^53 or more is past any bound.
 */
export function elementCount(
  dims: readonly (number | bigint)[],
  elementsMax: number,
  label: string,
): number {
  const negative = dims.find((dim) => dim < 0);
  if (negative !== undefined)
    throw corrupt(`${label} has dimension ${negative}, expected 0 or more`);
  if (dims.some((dim) => Number(dim) === 0)) return 0;
  let product = 1;
  for (const dim of dims) {
    product *= Number(dim);
    if (product > elementsMax) return Infinity;
  }
  return product;
}

/** Adds the dimensions in the current field to `dims`. */
export function readDims(reader: WireReader, dims: (number | bigint)[], where: string): void {
  reader.ints((dim) => {
    if (dims.push(dim) > STORED_RANK_MAX) {
      throw corrupt(`${where} has more than ${STORED_RANK_MAX} dimensions`);
    }
  });
}

function readContents(reader: WireReader, where: string): Contents {
  const entries = { float: 0, int32: 0, int64: 0, double: 0, uint64: 0, string: 0 };
  const contents: Contents = {
    name: "",
    dataType: 0,
    dims: [],
    rawBytes: undefined,
    entries,
    typedBytes: 0,
  };
  const count = (storage: ElementType["storage"], bytes: number) => (): void => {
    entries[storage]++;
    contents.typedBytes += bytes;
  };
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    switch (field) {
      case 1:
        readDims(reader, contents.dims, where);
        break;
      case 2:
        contents.dataType = reader.int();
        break;
      case 3:
        throw unsupported(where, "is split into segments, expected it whole");
      case 4:
        reader.floats(count("float", 4));
        break;
      case 5:
        reader.ints(count("int32", 4));
        break;
      case 6:
        count("string", reader.bytes().length)();
        break;
      case 7:
        reader.ints(count("int64", 8));
        break;
      case 8:
        contents.name = reader.string();
        break;
      case 9:
        contents.rawBytes = reader.bytes().length;
        break;
      case 10:
        reader.doubles(count("double", 8));
        break;
      case 11:
        reader.ints(count("uint64", 8));
        break;
      case 13:
        // A path in the file would make the worker open whatever it names.
        throw unsupported(where, "keeps its data outside the file, expected it inside");
      case 14:
        if (reader.int() !== 0) {
          throw unsupported(where, "keeps its data outside the file, expected it inside");
        }
        break;
      default:
        reader.skip();
    }
  }
  return contents;
}

const unsupported = (where: string, what: string): FaultError =>
  new FaultError("MODEL_UNSUPPORTED", `${where} ${what}`);

function checkData(contents: Contents, type: ElementType, elements: number, label: string): void {
  const shape = `${label}: ${type.name} [${contents.dims.join(", ")}]`;
  const typed = Object.values(contents.entries).reduce((sum, entries) => sum + entries, 0);
  if (contents.rawBytes !== undefined) {
    if (typed > 0) throw corrupt(`${shape} has its data twice, expected it once`);
    if (type.bits === 0) throw corrupt(`${shape} has raw bytes, expected strings`);
    const expected = Math.ceil((elements * type.bits) / 8);
    if (contents.rawBytes !== expected) {
      throw corrupt(`${shape} has ${contents.rawBytes} bytes, expected ${expected}`);
    }
    return;
  }
  const expected = Math.ceil(elements * type.entries);
  const found = contents.entries[type.storage];
  if (found !== expected || typed !== found) {
    throw corrupt(`${shape} has ${typed} entries, expected ${expected} as ${type.storage}`);
  }
}
