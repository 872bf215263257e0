/**
 * Quantized weights of safetensors files as ComfyUI writes them: codes in `LAYER.weight`, scales in `LAYER.weight_scale`, and a
 * description in `LAYER.comfy_quant` (bytes of JSON) or, of all layers, in the metadata `_quantization_metadata`. Older files
 * have 8-bit floats with `LAYER.scale_weight` and no description.
 */
import type { CodeType, WeightScale } from '../../binding/types.js';
import { SafelightError } from '../../errors.js';
import { elementCount } from '../../tensor/shape.js';
import { readBytes } from '../weights/read-tensor.js';
import { formatShape, type TensorIndex, type TensorInfo } from '../weights/tensor-index.js';

/** Largest description of a layer in bytes. */
const MAX_DESCRIPTION = 1 << 16;
const CODES: ReadonlySet<string> = new Set(['I8', 'U8', 'F8_E4M3', 'F8_E5M2']);
const SCALE_TYPES: ReadonlySet<string> = new Set<WeightScale['type']>(['F32', 'F16', 'BF16']);
const COMPANIONS = [
  ...['comfy_quant', 'weight_scale', 'weight_scale_2', 'scale_weight'],
  ...['input_scale', 'scale_input'],
];

/** The codes and scales of a format. */
interface Format {
  /** Types of the codes in the file. */
  readonly stored: readonly string[];
  /** Type of the codes if the file packs two in a byte. */
  readonly halves?: CodeType;
  /** Columns per scale and the types of these scales in the file; default one scale per row or for all. */
  readonly blocks?: {
    readonly columns: number;
    readonly stored: readonly string[];
    readonly type: WeightScale['type'];
  };
  /** True if the columns of each weight are rotated. */
  readonly rotated?: true;
}

const FORMATS: ReadonlyMap<string, Format> = new Map<string, Format>([
  ['int8_tensorwise', { stored: ['I8'] }],
  ['float8_e4m3fn', { stored: ['F8_E4M3'] }],
  ['float8_e5m2', { stored: ['F8_E5M2'] }],
  [
    'nvfp4',
    { stored: ['U8'], halves: 'F4_E2M1', blocks: { columns: 16, stored: ['F8_E4M3'], type: 'F8_E4M3' } },
  ],
  [
    'mxfp8',
    { stored: ['F8_E4M3', 'F8_E5M2'], blocks: { columns: 32, stored: ['U8', 'F8_E8M0'], type: 'F8_E8M0' } },
  ],
  ['convrot_w4a4', { stored: ['I8'], halves: 'I4', rotated: true }],
]);
const DEFAULT_FORMATS: Readonly<Record<string, string>> = {
  I8: 'int8_tensorwise',
  F8_E4M3: 'float8_e4m3fn',
  F8_E5M2: 'float8_e5m2',
};

interface Description {
  readonly format?: unknown;
  readonly convrot?: unknown;
  readonly convrot_groupsize?: unknown;
}

/**
 * Returns the tensors with the scales of those that have any; their `dtype` and `shape` are then those of the codes.
 * @param metadata the text of `_quantization_metadata`
 * @throws UNSUPPORTED_MODEL for a format that is not supported, INVALID_FILE for scales that do not match their weight
 */
export async function withScales(tensors: TensorIndex, metadata?: string): Promise<TensorIndex> {
  const weights = [...tensors.values()].filter(
    ({ name, dtype }) => CODES.has(dtype) && /(^|\.)weight$/.test(name),
  );
  if (weights.length === 0) return tensors;
  const own = weights.flatMap(({ name }) => tensors.get(beside(name, 'comfy_quant')) ?? []);
  for (const { name, file, length, dtype, strides } of own)
    if (length > MAX_DESCRIPTION || dtype !== 'U8' || strides)
      throw damaged(name, file, `is no JSON of at most ${MAX_DESCRIPTION} bytes`);
  const texts = await readBytes(own);
  const described = new Map(own.map((tensor, i) => [tensor.name, parse(texts[i]!, tensor)]));
  const layers = layersOf(metadata);
  const out = new Map(tensors);
  for (const weight of weights) {
    const layer = weight.name.replace(/\.?weight$/, '');
    const description = described.get(beside(weight.name, 'comfy_quant')) ?? layers(layer) ?? {};
    const scaled = scaledWeight(weight, tensors, description);
    if (scaled) out.set(weight.name, scaled);
  }
  return out;
}

/** Returns the weight with its scales, or null if it has none. */
function scaledWeight(weight: TensorInfo, tensors: TensorIndex, description: Description): TensorInfo | null {
  const { name, file, dtype, shape, strides } = weight;
  const find = (leaf: string) => tensors.get(beside(name, leaf));
  const scale = find('weight_scale') ?? find('scale_weight');
  const named = description.format ?? (scale && DEFAULT_FORMATS[dtype]);
  if (named === undefined || (scale === undefined && dtype.startsWith('F8'))) return null;
  const format = FORMATS.get(String(named));
  if (!format) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `"${name}" in ${file} is quantized as ${String(named)}, which cannot be loaded; use ${[...FORMATS.keys()].join(', ')}, or a model in F16`,
    );
  }
  if (!format.stored.includes(dtype))
    throw damaged(name, file, `is ${dtype}, not ${format.stored.join(' or ')} as ${named} requires`);
  if (!scale)
    throw damaged(
      name,
      file,
      `is quantized as ${named} but has no scales in "${beside(name, 'weight_scale')}"`,
    );
  if (find('pre_quant_scale')) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `"${name}" in ${file} requires inputs scaled by "${beside(name, 'pre_quant_scale')}", which is not supported; use a model in F16`,
    );
  }
  if (strides || scale.strides || scale.file !== file) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `"${name}" in ${file} and its scales are not contiguous in one file, which cannot be loaded; use a single safetensors file`,
    );
  }
  const columns = shape.slice(1).reduce((a, b) => a * b, 1) * (format.halves ? 2 : 1);
  const codes = format.halves ? [...shape.slice(0, 1), columns] : shape;
  const factor = format.blocks && find('weight_scale_2');
  if (factor && (factor.dtype !== 'F32' || elementCount(factor.shape) !== 1 || factor.file !== file))
    throw damaged(factor.name, file, 'is not a number in F32');
  return {
    ...weight,
    dtype: format.halves ?? dtype,
    shape: codes,
    scale: {
      offset: scale.offset,
      ...scalesOf(scale, format, codes[0] ?? 1, columns),
      ...(factor ? { factor: factor.offset } : {}),
      ...(format.rotated || description.convrot === true
        ? { rotation: rotationOf(description, columns, weight) }
        : {}),
      tensors: COMPANIONS.flatMap((leaf) => find(leaf) ?? []),
    },
  };
}

function scalesOf(
  { name, file, dtype, shape }: TensorInfo,
  { blocks }: Format,
  rows: number,
  columns: number,
): Pick<WeightScale, 'type' | 'count' | 'block'> {
  const count = elementCount(shape);
  const mismatch = (expected: string) =>
    damaged(name, file, `has shape ${formatShape(shape)} and type ${dtype}, expected ${expected}`);
  if (!blocks) {
    if (!SCALE_TYPES.has(dtype) || (count !== 1 && count !== rows))
      throw mismatch(`one number or ${rows} in F32`);
    return { type: dtype as WeightScale['type'], count };
  }
  const tiles = Math.ceil(rows / 128) * 128 * Math.ceil(columns / blocks.columns / 4) * 4;
  if (!blocks.stored.includes(dtype) || count !== tiles || columns % blocks.columns !== 0)
    throw mismatch(
      `${tiles} numbers in ${blocks.stored.join(' or ')} for rows of blocks of ${blocks.columns}`,
    );
  return { type: blocks.type, count, block: blocks.columns };
}

function rotationOf(description: Description, columns: number, { name, file }: TensorInfo): number {
  const group = description.convrot_groupsize ?? 256;
  const valid = typeof group === 'number' && group > 1 && Number.isInteger(Math.log2(group) / 2);
  if (!valid || columns % group !== 0)
    throw damaged(
      name,
      file,
      `is rotated in groups of ${String(group)}, not a power of 4 that divides its ${columns} columns`,
    );
  return group;
}

/** Returns the lookup of a layer's description in the metadata, whose names may lack the prefix of the file's. */
function layersOf(metadata: string | undefined): (layer: string) => Description | undefined {
  const layers = new Map(Object.entries(object(object(json(metadata ?? '')).layers)));
  return (layer) => {
    for (let name = layer; ; name = name.slice(name.indexOf('.') + 1)) {
      if (layers.has(name)) return flat(layers.get(name));
      if (!name.includes('.')) return undefined;
    }
  };
}

function parse(bytes: Uint8Array, { name, file }: TensorInfo): Description {
  const value = json(Buffer.from(bytes).toString('utf8').replace(/\0+$/, ''));
  if (typeof value !== 'object' || value === null) throw damaged(name, file, 'is not a JSON object');
  return flat(value);
}

/** Some writers put the parameters of a format under `params`. */
function flat(value: unknown): Description {
  return { ...object(object(value).params), ...object(value) };
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function object(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

/** Returns the name of another tensor of the same layer. */
function beside(weight: string, leaf: string): string {
  return weight.replace(/weight$/, leaf);
}

function damaged(name: string, file: string, what: string): SafelightError {
  return new SafelightError(
    'INVALID_FILE',
    `"${name}" in ${file} ${what}; the file is damaged: download it again`,
  );
}
