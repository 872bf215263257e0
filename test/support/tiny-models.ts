/**
 * Recreates the tiny random models of `test/reference/pipelines_models.py` with the same bytes, from
 * manifests of names, shapes and amplitudes, as a diffusers folder or as a single-file ("ldm") checkpoint.
 */
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const FIXTURES = fileURLToPath(new URL('../fixtures/pipelines/', import.meta.url));

export type TinyModel = 'sd1' | 'sd2' | 'sdxl' | 'inpaint';

/** `[component, name, shape, amplitude (one, or one for each half), base, single-file name, layout there]` */
export type Row = [string, string, number[], number | [number, number], number, string, string | null];

/** A tensor as stored in a safetensors file. */
export interface RawTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

export function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}

export function manifest(model: TinyModel): Row[] {
  return readJson<Row[]>(join(FIXTURES, model, 'weights.json'));
}

/**
 * Returns the SHA-256 over every tensor's f16 bytes in the manifest's order, which Python wrote to
 * `checksums.json`.
 */
export function checksum(model: TinyModel): string {
  const digest = createHash('sha256');
  for (const row of manifest(model)) digest.update(halves(row));
  return digest.digest('hex');
}

export interface FolderOptions {
  /** Merged over the scheduler's config. */
  readonly scheduler?: Record<string, unknown>;
  /** Text encoders' tensor names with (transformers 4) or without (transformers 5) `text_model.`. */
  readonly textPrefix?: boolean;
  /** Uses the standard CLIP vocabulary: a larger embedding, and no tokenizer files. */
  readonly standardVocabulary?: boolean;
}

/** Writes a diffusers folder. */
export function writeFolder(model: TinyModel, folder: string, options: FolderOptions = {}): string {
  cpSync(join(FIXTURES, model), folder, {
    recursive: true,
    filter: (path) => !path.endsWith('weights.json'),
  });
  const rows = manifest(model);
  for (const component of new Set(rows.map((row) => row[0]))) {
    const tensors = new Map<string, RawTensor>();
    const isText = component.startsWith('text_encoder');
    for (const row of rows.filter((r) => r[0] === component)) {
      const plain = row[1].replace(/^text_model\./, '');
      const prefixed = options.textPrefix !== false && plain !== 'text_projection.weight';
      const name = !isText ? row[1] : prefixed ? `text_model.${plain}` : plain;
      tensors.set(name, f16Tensor(options.standardVocabulary ? standardVocabulary(row) : row));
    }
    const file = isText ? 'model.safetensors' : 'diffusion_pytorch_model.safetensors';
    writeSafetensors(join(folder, component, file), tensors);
    if (!isText) continue;
    if (options.standardVocabulary) {
      editJson(join(folder, component, 'config.json'), {
        vocab_size: 49408,
        bos_token_id: 49406,
        eos_token_id: 49407,
        pad_token_id: component === 'text_encoder' ? 49407 : 0,
      });
    } else {
      const tokenizer = component.replace('text_encoder', 'tokenizer');
      cpSync(join(FIXTURES, tokenizer), join(folder, tokenizer), { recursive: true });
    }
  }
  editJson(join(folder, 'scheduler', 'scheduler_config.json'), options.scheduler ?? {});
  return folder;
}

/**
 * Writes a single-file checkpoint of the same weights with the standard vocabulary, and with the unused
 * tensors of real files. SD2's OpenCLIP gets its last layer back, which single files have and folders lack.
 */
export function writeSingleFile(
  model: TinyModel,
  path: string,
  extra: Record<string, RawTensor> = {},
): string {
  const tensors = new Map<string, RawTensor>();
  const fused = new Map<string, { shape: number[]; parts: Uint8Array[] }>();
  for (const original of manifest(model)) {
    const row = standardVocabulary(original);
    const [, , shape, , , name, layout] = row;
    const { data } = f16Tensor(row);
    if (layout?.startsWith('fused')) {
      const entry = fused.get(name) ?? { shape: [shape[0]! * 3, ...shape.slice(1)], parts: [] };
      entry.parts[Number(layout[5])] = data;
      fused.set(name, entry);
    } else if (layout === 'transpose') {
      tensors.set(name, { dtype: 'F16', shape: [shape[1]!, shape[0]!], data: transposed(data, shape) });
    } else {
      tensors.set(name, { dtype: 'F16', shape: layout === 'conv' ? [...shape, 1, 1] : shape, data });
    }
  }
  for (const [name, { shape, parts }] of fused)
    tensors.set(name, { dtype: 'F16', shape, data: Buffer.concat(parts) });
  if (model === 'sd2') addLastLayer(tensors);
  const f32 = (value: number): RawTensor => ({
    dtype: 'F32',
    shape: [],
    data: new Uint8Array(Float32Array.of(value).buffer),
  });
  tensors.set('model_ema.decay', f32(0.9999));
  tensors.set('model_ema.num_updates', { dtype: 'I32', shape: [], data: new Uint8Array(4) });
  tensors.set('cond_stage_model.transformer.text_model.embeddings.position_ids', {
    dtype: 'I64',
    shape: [1, 77],
    data: new Uint8Array(77 * 8),
  });
  for (const [name, tensor] of Object.entries(extra)) tensors.set(name, tensor);
  mkdirSync(dirname(path), { recursive: true });
  writeSafetensors(path, tensors);
  return path;
}

/** Writes a safetensors file with consecutive tensors. */
export function writeSafetensors(path: string, tensors: ReadonlyMap<string, RawTensor>): void {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let offset = 0;
  for (const [name, { dtype, shape, data }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([length, text, ...[...tensors.values()].map((tensor) => tensor.data)]));
}

export function editJson(path: string, changes: Record<string, unknown>): void {
  writeFileSync(path, JSON.stringify({ ...readJson<Record<string, unknown>>(path), ...changes }));
}

export function f16Tensor(row: Row): RawTensor {
  return { dtype: 'F16', shape: row[2], data: new Uint8Array(halves(row).buffer) };
}

/** Returns the row of a token embedding with 49,408 rows; other rows unchanged. */
function standardVocabulary(row: Row): Row {
  if (!row[1].endsWith('token_embedding.weight')) return row;
  return [row[0], row[1], [49408, row[2][1]!], row[3], row[4], row[5], row[6]];
}

/** Appends a copy of the last OpenCLIP block, whose output must not matter: the penultimate layer's is used. */
function addLastLayer(tensors: Map<string, RawTensor>): void {
  const prefix = 'cond_stage_model.model.transformer.resblocks.';
  const names = [...tensors.keys()].filter((name) => name.startsWith(prefix));
  const last = Math.max(...names.map((name) => Number(name.slice(prefix.length).split('.')[0])));
  for (const name of names) {
    if (!name.startsWith(`${prefix}${last}.`)) continue;
    tensors.set(name.replace(`${prefix}${last}.`, `${prefix}${last + 1}.`), tensors.get(name)!);
  }
}

function transposed(data: Uint8Array, shape: readonly number[]): Uint8Array {
  const [rows, columns] = [shape[0]!, shape[1]!];
  const source = new Uint16Array(data.buffer, data.byteOffset, rows * columns);
  const out = new Uint16Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      out[column * rows + row] = source[row * columns + column]!;
  return new Uint8Array(out.buffer);
}

/**
 * Returns the f16 bits of `base + amplitude * noise`, with noise (2u - 255) / 256 from a 32-bit hash of the
 * name and the index.
 */
function halves(row: Row): Uint16Array {
  const [component, name, shape, amplitude, base] = row;
  const count = shape.reduce((product, side) => product * side, 1);
  const [first, second] = typeof amplitude === 'number' ? [amplitude, amplitude] : amplitude;
  const [upper, lower] = [table(first, base), table(second, base)];
  const bytes = hashed(`${component}.${name}`, count);
  const out = new Uint16Array(count);
  for (let i = 0; i < count; i++) out[i] = (i < count / 2 ? upper : lower)[bytes[i]!]!;
  return out;
}

const tables = new Map<string, Uint16Array>();

/** The f16 bits of `base + amplitude * (2u - 255) / 256` for each u in 0 .. 255. */
function table(amplitude: number, base: number): Uint16Array {
  const key = `${amplitude} ${base}`;
  const known = tables.get(key);
  if (known) return known;
  const made = Uint16Array.from({ length: 256 }, (_, u) => f16(base + (amplitude * (2 * u - 255)) / 256));
  tables.set(key, made);
  return made;
}

/** Returns `count` numbers (2u - 255) / 256 by a name, as `noise` in pipelines_models.py. */
export function noise(name: string, count: number): Float32Array {
  const bytes = hashed(name, count);
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) out[i] = (2 * bytes[i]! - 255) / 256;
  return out;
}

function hashed(name: string, count: number): Uint8Array {
  const seed = nameHash(name);
  const out = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    let x = (seed + Math.imul(i, 0x9e3779b9)) | 0;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    out[i] = (x ^ (x >>> 16)) >>> 24;
  }
  return out;
}

/** FNV-1a. */
function nameHash(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash;
}

const single = new Float32Array(1);
const word32 = new Uint32Array(single.buffer);

/**
 * Returns the bits of a number that f16 represents exactly; throws for others, so that a test never rounds a
 * weight.
 */
export function f16(value: number): number {
  single[0] = value;
  const word = word32[0]!;
  const sign = (word >>> 16) & 0x8000;
  if ((word & 0x7fffffff) === 0) return sign;
  const exponent = ((word >>> 23) & 0xff) - 112;
  const mantissa = (word >>> 13) & 0x3ff;
  const shift = Math.max(0, 1 - exponent);
  const full = 0x400 | mantissa;
  const isExact = (word & 0x1fff) === 0 && exponent < 31 && shift <= 10 && (full & ((1 << shift) - 1)) === 0;
  if (!isExact) throw new Error(`${value} is not exact in f16`);
  return sign | (exponent > 0 ? (exponent << 10) | mantissa : full >>> shift);
}
