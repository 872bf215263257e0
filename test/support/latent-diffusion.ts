/**
 * The cases of `test/reference/latent_diffusion.py`: checkpoints and folders of tiny models, whose weights
 * are hashes of names, and their images.
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { readSafetensors } from '../../lib/checkpoint/formats/safetensors.js';
import type { GenerateOptions } from '../../lib/pipelines/options.js';
import { Tensor } from '../../lib/tensor/tensor.js';
import { f16Tensor, type RawTensor, readJson, writeSafetensors } from './tiny-models.js';

const FIXTURES = fileURLToPath(new URL('../fixtures/ldm/', import.meta.url));

export interface Case {
  readonly name: string;
  /** The YAML of a checkpoint. */
  readonly yaml?: { readonly model: Record<string, unknown> };
  /** The files of a diffusers folder other than its weights. */
  readonly folder?: Readonly<Record<string, unknown>>;
  /**
   * Manifests in models.json, by the prefix of their names in a checkpoint, or by the weights file in a
   * folder.
   */
  readonly parts: Readonly<Record<string, string>>;
  /** A checkpoint's `scale_factor`. */
  readonly scale_factor?: number;
  /** Names of the API's options. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly class?: number;
  /** Height and width of the latent. */
  readonly size: readonly [number, number];
}

type Rows = readonly [name: string, shape: number[], amplitude: number, base: number][];

export const cases = readJson<Case[]>(join(FIXTURES, 'cases.json'));
const manifests = readJson<Record<string, Rows>>(join(FIXTURES, 'models.json'));

export function caseNamed(name: string): Case {
  const found = cases.find((one) => one.name === name);
  if (!found) throw new Error(`there is no case ${name}`);
  return found;
}

/** Returns the tensors of a manifest with a prefix to their names. */
function tensorsOf(model: string, prefix = ''): [string, RawTensor][] {
  return manifests[model]!.map(([name, shape, amplitude, base]) => [
    prefix + name,
    f16Tensor([model, name, shape, amplitude, base, name, null]),
  ]);
}

export function tensorsOfCase(one: Case): Map<string, RawTensor> {
  const tensors = new Map(Object.entries(one.parts).flatMap(([prefix, model]) => tensorsOf(model, prefix)));
  if (one.scale_factor !== undefined) {
    const data = new Uint8Array(Float32Array.of(one.scale_factor).buffer);
    tensors.set('scale_factor', { dtype: 'F32', shape: [], data });
  }
  return tensors;
}

/** Writes a checkpoint with its YAML. @returns the checkpoint's path */
export function writeCheckpoint(one: Case, folder: string, tensors = tensorsOfCase(one)): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'model.safetensors');
  writeSafetensors(path, tensors);
  writeFileSync(join(folder, 'model.yaml'), stringify(one.yaml));
  if (Object.values(one.parts).includes('ldm-bert'))
    cpSync(picturePath('vocab.txt'), join(folder, 'vocab.txt'));
  return path;
}

/** Writes a checkpoint or a folder. @returns its path */
export function writeModel(one: Case, folder: string): string {
  if (one.folder === undefined) return writeCheckpoint(one, folder);
  for (const [name, content] of Object.entries(one.folder)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  }
  for (const [file, model] of Object.entries(one.parts))
    writeSafetensors(join(folder, `${file}.safetensors`), new Map(tensorsOf(model)));
  return folder;
}

/** Returns options of the API; images are paths of fixtures. */
export function generateOptions(one: Case): GenerateOptions {
  const options = { ...one.options, ...(one.class === undefined ? {} : { class: one.class }) };
  const given = Object.entries(options).map(([name, value]) =>
    name === 'init' || name === 'mask' ? [name, picturePath(String(value))] : [name, value],
  );
  return Object.fromEntries(given) as GenerateOptions;
}

export function picturePath(name: string): string {
  return join(FIXTURES, name);
}

/** Returns latents `[B, C, h, w]`, and images as rows of RGB bytes. */
export async function expectedOf({ name }: Case): Promise<{ latent: Tensor; pictures: Uint8Array }> {
  const path = join(FIXTURES, 'expected.safetensors');
  const { tensors } = await readSafetensors(path);
  const bytes = readFileSync(path);
  const read = (what: string) => {
    const { offset, length, shape } = tensors.get(`${name}/${what}`)!;
    return { data: new Uint8Array(bytes.subarray(offset, offset + length)), shape };
  };
  const latent = read('latent');
  return {
    latent: Tensor.from(new Float32Array(latent.data.buffer), latent.shape),
    pictures: read('picture').data,
  };
}
