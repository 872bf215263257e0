/** Selection of the vectors among the tensors of an embedding file, by the names that training tools write. */
import { readRow } from '../../checkpoint/weights/read-tensor.js';
import { formatShape, type TensorInfo } from '../../checkpoint/weights/tensor-index.js';
import { SafelightError } from '../../errors.js';
import { Tensor } from '../../tensor/tensor.js';

/** `any` is the only table of a file that does not name a text encoder. */
export type EmbeddingTable = 'any' | 'clip_l' | 'clip_g';

export interface EmbeddingTables {
  /** Vectors `[n, width]` by text encoder. */
  readonly tables: Readonly<Partial<Record<EmbeddingTable, Tensor>>>;
  /** Number of vectors n, the same for all tables. */
  readonly vectors: number;
  /** Widths of the tables, in the order clip_l, clip_g. */
  readonly widths: readonly number[];
}

/** A tensor of a file, in which its values are read only if they are needed. */
export interface RawTable {
  readonly name: string;
  readonly shape: readonly number[];
  /** Element type, such as `F16`. */
  readonly dtype: string;
  /** Returns the values in row-major order. */
  read(): Promise<Float32Array>;
}

const FLOATS: ReadonlySet<string> = new Set(['F64', 'F32', 'F16', 'BF16']);
/** Limits far above real embeddings, which have up to 75 vectors of up to 1280 numbers. */
const MAX_VECTORS = 1024;
const MAX_WIDTH = 65_536;
const MAX_NUMBERS = 2 ** 22;
/** Number of unknown tensors above which a file is another kind of model. */
const MAX_UNKNOWN = 4;
/** Names of the tables of SDXL's encoders: kohya's, and those of diffusers' older training scripts. */
const ENCODERS: readonly (readonly [Exclude<EmbeddingTable, 'any'>, readonly string[]])[] = [
  ['clip_l', ['clip_l', 'text_encoders_0']],
  ['clip_g', ['clip_g', 'text_encoders_1']],
];

/**
 * Reads the vectors of an embedding.
 * @param path of the file, for messages
 * @throws INVALID_FILE, UNSUPPORTED_ADAPTER, NOT_FINITE
 */
export async function embeddingTables(path: string, raw: readonly RawTable[]): Promise<EmbeddingTables> {
  const tables: Partial<Record<EmbeddingTable, Tensor>> = {};
  for (const [table, one] of select(path, raw)) tables[table] = await readTable(path, one);
  const all = Object.values(tables);
  const [vectors = 0] = all[0]!.shape;
  if (all.some(({ shape }) => shape[0] !== vectors))
    throw new SafelightError(
      'INVALID_FILE',
      `The embedding ${path} has ${all.map(({ shape }) => shape[0]).join(' and ')} vectors for the two text encoders, expected the same number; it is damaged: download it again`,
    );
  return { tables, vectors, widths: all.map(({ shape }) => shape[1]!) };
}

function select(path: string, raw: readonly RawTable[]): readonly (readonly [EmbeddingTable, RawTable])[] {
  const params = raw.filter(({ name }) => name.startsWith('string_to_param.'));
  if (params.length > 1)
    throw unsupported(
      path,
      `contains ${params.length} embeddings, expected one`,
      'save each in its own file',
    );
  if (params[0]) return [['any', params[0]]];
  const encoders = ENCODERS.flatMap(([table, names]) =>
    raw.filter(({ name }) => names.includes(name)).map((one) => [table, one] as const),
  );
  if (encoders.length > 0) return encoders;
  const kohya = raw.find(({ name }) => name === 'emb_params');
  if (kohya) return [['any', kohya]];
  const [first, ...more] = raw.filter(({ dtype }) => FLOATS.has(dtype));
  if (first === undefined) throw unsupported(path, 'contains no vectors', 'use a textual inversion file');
  if (more.length >= MAX_UNKNOWN)
    throw unsupported(
      path,
      `contains ${raw.length} tensors, which is another kind of model`,
      'use a textual inversion file',
    );
  return [['any', first]];
}

async function readTable(path: string, { name, shape, dtype, read }: RawTable): Promise<Tensor> {
  const [vectors = 0, width = 0] = shape.length === 1 ? [1, ...shape] : shape;
  const fits = vectors <= MAX_VECTORS && width <= MAX_WIDTH && vectors * width <= MAX_NUMBERS;
  if (!(shape.length === 1 || shape.length === 2) || vectors * width === 0 || !fits || !FLOATS.has(dtype))
    throw unsupported(
      path,
      `has ${JSON.stringify(name.slice(0, 100))} of type ${dtype} and shape ${formatShape(shape).slice(0, 100)}, expected up to ${MAX_VECTORS} vectors of floating-point numbers`,
      'use a textual inversion file',
    );
  const data = await read();
  if (!data.every(Number.isFinite))
    throw new SafelightError(
      'NOT_FINITE',
      `The embedding ${path} contains NaN or infinite values; it is damaged or its training diverged: use another file`,
    );
  return Tensor.from(data, [vectors, width]);
}

/** Returns a table that reads a tensor of a weight file. */
export function rawTable(tensor: TensorInfo, name = tensor.name): RawTable {
  const { shape, strides, dtype } = tensor;
  const [rows = 1, width = 0] = shape.length === 1 ? [1, ...shape] : shape;
  const table = shape.length === 1 ? { ...tensor, shape: [1, width], ...across(strides) } : tensor;
  const read = async (): Promise<Float32Array> => {
    const data = new Float32Array(rows * width);
    for (let row = 0; row < rows; row++) data.set(await readRow(table, row), row * width);
    return data;
  };
  return { name, shape, dtype, read };
}

/** Returns the strides of one row. */
function across(strides: readonly number[] | undefined): { readonly strides?: readonly number[] } {
  return strides === undefined ? {} : { strides: [0, ...strides] };
}

function unsupported(path: string, why: string, hint: string): SafelightError {
  return new SafelightError('UNSUPPORTED_ADAPTER', `The embedding ${path} ${why}; ${hint}`);
}
