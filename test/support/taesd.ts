/** The tiny autoencoder of test/reference/taesd.py for the tiny Stable Diffusion 1, in every form of its files. */
import { cpSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { f16Tensor, type RawTensor, type Row, readJson, writeSafetensors } from './tiny-models.js';
import { writeTorch } from './torch/checkpoint.js';

export const TAESD = fileURLToPath(new URL('../fixtures/taesd/', import.meta.url));

type Tensors = Map<string, RawTensor>;

/** Returns its tensors by diffusers' names. */
export function taesdTensors(): Tensors {
  return new Map(readJson<Row[]>(join(TAESD, 'weights.json')).map((row) => [row[1], f16Tensor(row)]));
}

/** Returns the tensors of a half by the original names; decoder indices are one larger than diffusers'. */
export function originalHalf(half: 'encoder' | 'decoder', prefix = ''): Tensors {
  const renamed: Tensors = new Map();
  for (const [name, tensor] of taesdTensors()) {
    const [, own, index, rest] = /^(encoder|decoder)\.layers\.(\d+)\.(.+)$/.exec(name)!;
    if (own === half) renamed.set(`${prefix}${Number(index) + (half === 'decoder' ? 1 : 0)}.${rest}`, tensor);
  }
  return renamed;
}

/** Writes a diffusers folder. */
export function writeTaesdFolder(folder: string, tensors: Tensors = taesdTensors()): string {
  mkdirSync(folder, { recursive: true });
  cpSync(join(TAESD, 'config.json'), join(folder, 'config.json'));
  writeSafetensors(join(folder, 'diffusion_pytorch_model.safetensors'), tensors);
  return folder;
}

/** Writes tensors as a safetensors file, or as PyTorch writes a `.pth` file. @returns the path */
export function writeTensors(path: string, tensors: Tensors): string {
  mkdirSync(dirname(path), { recursive: true });
  if (path.endsWith('.pth')) return writeTorch(path, tensors);
  writeSafetensors(path, tensors);
  return path;
}

/** Every form of its files, as functions that write it into a folder and return the path to pass as `vae`. */
export const taesdForms: Readonly<Record<string, (folder: string) => string>> = {
  'a diffusers folder': (folder) => writeTaesdFolder(folder),
  "a file with diffusers' names": (folder) => writeTensors(join(folder, 'taesd.safetensors'), taesdTensors()),
  'the original decoder beside the original encoder': (folder) => {
    writeTensors(join(folder, 'taesd_encoder.safetensors'), originalHalf('encoder'));
    return writeTensors(join(folder, 'taesd_decoder.safetensors'), originalHalf('decoder'));
  },
  'the original encoder beside the original decoder, as PyTorch files': (folder) => {
    writeTensors(join(folder, 'taesd_decoder.pth'), originalHalf('decoder'));
    return writeTensors(join(folder, 'taesd_encoder.pth'), originalHalf('encoder'));
  },
  'halves in files of different formats': (folder) => {
    writeTensors(join(folder, 'taesd_encoder.safetensors'), originalHalf('encoder'));
    return writeTensors(join(folder, 'taesd_decoder.pth'), originalHalf('decoder'));
  },
  'a file with both original halves': (folder) =>
    writeTensors(
      join(folder, 'taesd.safetensors'),
      new Map([...originalHalf('encoder', 'encoder.'), ...originalHalf('decoder', 'decoder.')]),
    ),
  "ComfyUI's file": (folder) => {
    const number = { dtype: 'F32', shape: [], data: new Uint8Array(Float32Array.of(0.5).buffer) };
    return writeTensors(
      join(folder, 'taesd.safetensors'),
      new Map([
        ...originalHalf('encoder', 'taesd_encoder.'),
        ...originalHalf('decoder', 'taesd_decoder.'),
        ['vae_scale', number],
        ['vae_shift', number],
      ]),
    );
  },
};
