/** The LoRA files of test/reference/lora_dialects.py, written with the same bytes, and the images that the libraries of their dialects make. */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder, tensorOf, writeWithMetadata } from './lora.js';
import { noise, type RawTensor, readJson, type TinyModel } from './tiny-models.js';

export const FIXTURES = fileURLToPath(new URL('../fixtures/lora-dialects/', import.meta.url));

/** Tensors of a layer by the end of their name. */
type Leaves = Readonly<Record<string, readonly [shape: number[], amplitude: number, mean?: number]>>;

export interface Dialect {
  readonly name: string;
  readonly model: TinyModel;
  /** Beginning of the names of a layer's tensors, and the index of its leaves in `kinds`. */
  readonly layers: readonly (readonly [place: string, kind: number])[];
  /** Scalars by name of tensor. */
  readonly numbers?: Readonly<Record<string, number>>;
  /** Text metadata of the file. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Content of adapter_config.json next to the file. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Name of the file. */
  readonly file?: string;
}

interface Cases {
  readonly options: Readonly<Record<string, string | number>>;
  /** Forms of LyCORIS, whose files `writeLycoris` writes. */
  readonly forms: readonly string[];
  readonly kinds: readonly Leaves[];
  readonly dialects: readonly Dialect[];
}

export const { options, forms, kinds, dialects } = readJson<Cases>(join(FIXTURES, 'cases.json'));

/** Writes the file of a dialect. Returns its path. */
export function writeDialect({ name, layers, numbers, metadata, config, file }: Dialect): string {
  const tensors = new Map<string, RawTensor>();
  for (const [place, kind] of layers) {
    for (const [leaf, [shape, amplitude, mean = 0]] of Object.entries(kinds[kind]!)) {
      const count = shape.reduce((product, side) => product * side, 1);
      // As NumPy computes it, in f32 throughout.
      const values = noise(`${name}.${place}${leaf}`, count).map(
        (value) => Math.fround(mean) + Math.fround(Math.fround(amplitude) * value),
      );
      tensors.set(`${place}${leaf}`, tensorOf(values, shape, 'F32'));
    }
  }
  for (const [key, value] of Object.entries(numbers ?? {}))
    tensors.set(key, tensorOf(Float32Array.of(value), [], 'F32'));
  const path = join(temporaryFolder(), file ?? `${name}.safetensors`);
  writeWithMetadata(path, tensors, metadata ?? {});
  if (config) writeFileSync(join(dirname(path), 'adapter_config.json'), JSON.stringify(config));
  return path;
}
