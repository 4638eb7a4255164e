/**
 * An ONNX model as plain records, in the names of onnx.proto in camel case. Absent fields are
 * undefined and are not written; repeated fields are always arrays after decoding and may be left
 * out when building.
 */

/** A 64-bit integer: a number where it is safe, else a bigint. */
export type Integer = number | bigint;

/** A field that the schema does not name, kept as it stood. */
export interface UnknownField {
  readonly number: number;
  /** Tag and value. */
  readonly bytes: Uint8Array;
}

interface Message {
  readonly unknownFields?: readonly UnknownField[];
  /** Numbers of the repeated scalar fields that stood in the other of packed and unpacked form. */
  readonly otherForm?: readonly number[];
}

export interface OnnxEntry extends Message {
  readonly key?: string;
  readonly value?: string;
}

export interface OnnxTensor extends Message {
  readonly name?: string;
  readonly dims?: readonly Integer[];
  /** See `elements.ts`. */
  readonly dataType?: number;
  /** Little-endian elements, row-major; the typed fields below are the other way to hold them. */
  readonly rawData?: Uint8Array;
  readonly floatData?: readonly number[];
  readonly int32Data?: readonly Integer[];
  readonly int64Data?: readonly Integer[];
  readonly uint64Data?: readonly Integer[];
  readonly doubleData?: readonly number[];
  readonly stringData?: readonly Uint8Array[];
  readonly externalData?: readonly OnnxEntry[];
  readonly dataLocation?: number;
  readonly docString?: string;
}

export interface OnnxSparseTensor extends Message {
  readonly values?: OnnxTensor;
  readonly indices?: OnnxTensor;
  readonly dims?: readonly Integer[];
}

export interface OnnxDimension extends Message {
  readonly dimValue?: Integer;
  readonly dimParam?: string;
  readonly denotation?: string;
}

export interface OnnxTensorType extends Message {
  readonly elemType?: number;
  readonly shape?: Message & { readonly dim?: readonly OnnxDimension[] };
}

/** Sequences, maps and optionals stay in `unknownFields`: Millrace serves tensors. */
export interface OnnxType extends Message {
  readonly tensorType?: OnnxTensorType;
  readonly denotation?: string;
}

export interface OnnxValueInfo extends Message {
  readonly name?: string;
  readonly type?: OnnxType;
  readonly docString?: string;
}

export interface OnnxAttribute extends Message {
  readonly name?: string;
  /** 1 float, 2 int, 3 string, 4 tensor, 5 graph; 6 to 10 are lists of these. */
  readonly type?: number;
  readonly f?: number;
  readonly i?: Integer;
  readonly s?: Uint8Array;
  readonly t?: OnnxTensor;
  readonly g?: OnnxGraph;
  readonly floats?: readonly number[];
  readonly ints?: readonly Integer[];
  readonly strings?: readonly Uint8Array[];
  readonly tensors?: readonly OnnxTensor[];
  readonly graphs?: readonly OnnxGraph[];
  readonly sparseTensor?: OnnxSparseTensor;
  readonly sparseTensors?: readonly OnnxSparseTensor[];
  readonly refAttrName?: string;
  readonly docString?: string;
}

export interface OnnxNode extends Message {
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly name?: string;
  readonly opType?: string;
  readonly domain?: string;
  readonly attribute: readonly OnnxAttribute[];
  readonly overload?: string;
  readonly docString?: string;
  readonly metadataProps?: readonly OnnxEntry[];
}

export interface OnnxGraph extends Message {
  readonly name?: string;
  readonly node: readonly OnnxNode[];
  readonly initializer: readonly OnnxTensor[];
  readonly sparseInitializer?: readonly OnnxSparseTensor[];
  readonly input: readonly OnnxValueInfo[];
  readonly output: readonly OnnxValueInfo[];
  readonly valueInfo?: readonly OnnxValueInfo[];
  readonly docString?: string;
  readonly metadataProps?: readonly OnnxEntry[];
}

export interface OnnxOpsetImport extends Message {
  /** Empty or absent for the operators of ONNX itself. */
  readonly domain?: string;
  readonly version?: Integer;
}

export interface OnnxModel extends Message {
  readonly irVersion?: number;
  readonly opsetImport: readonly OnnxOpsetImport[];
  readonly producerName?: string;
  readonly producerVersion?: string;
  readonly domain?: string;
  readonly modelVersion?: Integer;
  readonly docString?: string;
  readonly graph?: OnnxGraph;
  readonly metadataProps?: readonly OnnxEntry[];
}
