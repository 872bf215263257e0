/** The tiny upscaling networks of test/reference/upscalers.py, written as files in the layouts that are published. */
import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readSafetensors } from '../../../lib/checkpoint/formats/safetensors.js';
import { Tensor } from '../../../lib/tensor/tensor.js';
import { f16Tensor, type RawTensor, writeSafetensors } from '../tiny-models.js';

const FOLDER = fileURLToPath(new URL('../../fixtures/upscale/', import.meta.url));

type Row = [name: string, shape: number[], amplitude?: number, base?: number];

interface Section {
  readonly about: {
    readonly scale: number;
    readonly channels: number;
    readonly taps: readonly string[];
    /** Tensors with the given values, such as buffers, next to the hashed ones. */
    readonly values?: Readonly<Record<string, { readonly shape: number[]; readonly data: number[] }>>;
  };
  readonly rows: readonly Row[];
}

export const networks = JSON.parse(readFileSync(join(FOLDER, 'upscalers.json'), 'utf8')) as Record<
  string,
  Section
>;
export const NAMES = Object.keys(networks);

/** Returns the weights of a network under names that begin with `prefix`. */
export function weightsOf(name: string, prefix = ''): Map<string, RawTensor> {
  const { rows, about } = networks[name]!;
  const tensors = new Map<string, RawTensor>();
  for (const [source, shape, amplitude = 0.5, base = 0] of rows)
    tensors.set(prefix + source, f16Tensor([name, source, shape, amplitude, base, '', null]));
  for (const [source, { shape, data }] of Object.entries(about.values ?? {}))
    tensors.set(prefix + source, {
      dtype: 'F32',
      shape,
      data: new Uint8Array(Float32Array.from(data).buffer),
    });
  return tensors;
}

/** Writes a network as safetensors. @returns the path */
export function writeNetwork(folder: string, name: string): string {
  const path = join(folder, `${name}.safetensors`);
  writeSafetensors(path, weightsOf(name));
  return path;
}

/** Reads a tensor of the reference: `image`, `output` or `tap/NAME`. */
export async function reference(name: string, part: string): Promise<Tensor> {
  const { path, tensors } = await readSafetensors(join(FOLDER, 'upscalers.safetensors'));
  const found = tensors.get(`${name}/${part}`);
  if (found === undefined) throw new Error(`the fixture has no ${name}/${part}`);
  const bytes = new Uint8Array(found.length);
  const handle = await open(path);
  await handle.read(bytes, 0, found.length, found.offset);
  await handle.close();
  const data =
    found.dtype === 'U8' ? Float32Array.from(bytes, (k) => k / 256) : new Float32Array(bytes.buffer);
  return Tensor.from(data, found.shape);
}
