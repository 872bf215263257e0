import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { WeightRequirement } from '../../../lib/binding/types.js';
import type { FakeTensor } from './sparse-files.js';

/**
 * [canonical name, its shape, name in a single file, shape there, operation from the single file's tensor to
 * the canonical one]
 */
type Row = [
  name: string,
  shape: number[],
  source: string,
  sourceShape: number[],
  op: ['rows', number, number] | ['transpose'] | null,
];

export interface ReferenceComponent {
  /** The config of diffusers or transformers. */
  readonly config: Record<string, unknown>;
  readonly rows: readonly Row[];
}

export interface ReferenceFamily {
  readonly unet: ReferenceComponent;
  readonly vae: ReferenceComponent;
  readonly text_encoders: readonly ReferenceComponent[];
}

/** Configs and tensor names of diffusers' single-file conversion, written by test/reference/weights_names.py. */
export const reference: Readonly<Record<string, ReferenceFamily>> = JSON.parse(
  gunzipSync(readFileSync(new URL('../../fixtures/weights/names.json.gz', import.meta.url))).toString(),
);

export function components(family: ReferenceFamily): readonly ReferenceComponent[] {
  return [...family.text_encoders, family.unet, family.vae];
}

/** Returns the tensors of the family's single file. */
export function checkpoint(family: ReferenceFamily, dtype = 'F16'): Record<string, FakeTensor> {
  const tensors: Record<string, FakeTensor> = {};
  for (const { rows } of components(family)) {
    for (const [, , source, shape] of rows) tensors[source] = { dtype, shape };
  }
  return tensors;
}

/** Returns what a module of the component requires; roles follow from ranks, as in the native code. */
export function requirements({ rows }: ReferenceComponent): WeightRequirement[] {
  return rows.map(([name, shape]) => ({ name, shape, role: roleOf(name, shape) }));
}

function roleOf(name: string, shape: readonly number[]): WeightRequirement['role'] {
  if (shape.length === 1) return 'vector';
  if (name.includes('_embedding.weight')) return 'embedding';
  return shape.length === 2 || shape[2] === 1 ? 'matrix' : 'conv';
}
