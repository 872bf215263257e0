/** The cases of test/reference/few_steps.py, and its latent consistency model. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readSafetensors } from '../../lib/checkpoint/formats/safetensors.js';
import type { GenerateOptions } from '../../lib/pipelines/options.js';
import {
  editJson,
  f16Tensor,
  manifest,
  type RawTensor,
  type Row,
  readJson,
  writeFolder,
  writeSafetensors,
  writeSingleFile,
} from './tiny-models.js';

const FIXTURES = fileURLToPath(new URL('../fixtures/few-steps/', import.meta.url));

export interface FewStepCase {
  readonly name: string;
  readonly options: GenerateOptions;
}

export const {
  width: guidanceWidth,
  rows: [projection, output],
  unet: unetCase,
  images: cases,
} = readJson<{
  readonly width: number;
  /** Rows of the manifest: the embedding of the guidance scale, and the larger output convolution. */
  readonly rows: readonly [projection: Row, output: Row];
  readonly unet: { readonly scales: readonly number[]; readonly timesteps: readonly number[] };
  readonly images: readonly FewStepCase[];
}>(join(FIXTURES, 'cases.json'));

/** Returns a latent or a prediction of the reference. */
export async function expected(name: string): Promise<Float32Array> {
  return new Float32Array((await bytesOf(name))!.buffer);
}

/** Returns the bytes of a case's image `[H, W, 3]`; undefined for cases with a latent only. */
export function expectedImage(name: string): Promise<Uint8Array | undefined> {
  return bytesOf(`${name}.image`);
}

async function bytesOf(name: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const path = join(FIXTURES, 'expected.safetensors');
  const tensor = (await readSafetensors(path)).tensors.get(name);
  return tensor && Uint8Array.from(readFileSync(path).subarray(tensor.offset, tensor.offset + tensor.length));
}

/** Writes the folder of the latent consistency model. */
export function writeLcmFolder(folder: string): string {
  writePlainFolder(folder, [projection]);
  editJson(join(folder, 'unet', 'config.json'), { time_cond_proj_dim: guidanceWidth });
  return folder;
}

/** Writes the folder of SD1 with larger predictions. @param more rows of further tensors of the U-Net */
export function writePlainFolder(folder: string, more: readonly Row[] = []): string {
  writeFolder('sd1', folder);
  const kept = manifest('sd1').filter(([component, name]) => component === 'unet' && name !== output[1]);
  const rows = [...kept, output, ...more];
  const tensors = new Map<string, RawTensor>(rows.map((row) => [row[1], f16Tensor(row)]));
  writeSafetensors(join(folder, 'unet', 'diffusion_pytorch_model.safetensors'), tensors);
  return folder;
}

/** Writes it as a single file, with the standard vocabulary. @param name of the tensor, below the U-Net's prefix */
export function writeLcmFile(path: string, name = 'time_embed.cond_proj.weight'): string {
  return writeSingleFile('sd1', path, {
    [`model.diffusion_model.${name}`]: f16Tensor(projection),
    [output[5]]: f16Tensor(output),
  });
}
