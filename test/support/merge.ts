/** Models for tests of merging, in every form, and their weights in f32. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readGguf } from '../../lib/checkpoint/formats/gguf.js';
import { readSafetensors } from '../../lib/checkpoint/formats/safetensors.js';
import { convertModel } from '../../lib/tools/convert.js';
import { build, F16, Q8_0, u32, u64, value } from './gguf/bytes.js';
import {
  f16,
  type RawTensor,
  type TinyModel,
  writeFolder,
  writeSafetensors,
  writeSingleFile,
} from './tiny-models.js';
import { tensorsOf, writeTorch } from './torch/checkpoint.js';

export const FORMS = ['folder', 'file', 'pickle', 'gguf', 'q8_0'] as const;
export type Form = (typeof FORMS)[number];

/** Weights of a tiny model: as published, or with the elements of each tensor moved. */
export type Weights = 'plain' | 'reversed' | 'rotated';

/** Writes a tiny model with the standard vocabulary and returns its path. */
export async function writeModel(
  model: TinyModel,
  form: Form,
  weights: Weights,
  path: string,
): Promise<string> {
  if (form === 'folder') {
    writeFolder(model, path, { standardVocabulary: true });
    for (const file of readdirSync(path, { recursive: true, encoding: 'utf8' }))
      if (file.endsWith('.safetensors')) await rewrite(join(path, file), weights);
    return path;
  }
  const file = `${path}.safetensors`;
  writeSingleFile(model, file);
  await rewrite(file, weights);
  if (form === 'file') return file;
  if (form === 'pickle') {
    writeTorch(`${path}.ckpt`, await tensorsOf(file));
    return `${path}.ckpt`;
  }
  await convertModel(file, `${path}.gguf`, { storage: form === 'q8_0' ? 'q8_0' : 'f16' });
  return `${path}.gguf`;
}

async function rewrite(path: string, weights: Weights): Promise<void> {
  if (weights === 'plain') return;
  const tensors = await tensorsOf(path);
  writeSafetensors(path, new Map([...tensors].map(([name, tensor]) => [name, moved(tensor, weights)])));
}

function moved(tensor: RawTensor, weights: Weights): RawTensor {
  if (tensor.dtype !== 'F16') return tensor;
  const values = new Uint16Array(Uint8Array.from(tensor.data).buffer);
  const out = weights === 'reversed' ? values.reverse() : rotated(values, Math.floor(values.length / 3));
  return { ...tensor, data: new Uint8Array(out.buffer) };
}

function rotated(values: Uint16Array, by: number): Uint16Array {
  const out = new Uint16Array(values.length);
  out.set(values.subarray(by));
  out.set(values.subarray(0, by), values.length - by);
  return out;
}

/** Returns the f32 tensors of a GGUF or safetensors file by name. */
export async function floatsOf(path: string): Promise<Map<string, Float32Array>> {
  const { tensors } = path.endsWith('.gguf') ? await readGguf(path) : await readSafetensors(path);
  const bytes = readFileSync(path);
  return new Map(
    [...tensors.values()].map(({ name, dtype, offset, length }) => {
      if (dtype !== 'F32') throw new Error(`${name} is ${dtype}`);
      return [
        name,
        new Float32Array(bytes.buffer.slice(bytes.byteOffset + offset, bytes.byteOffset + offset + length)),
      ];
    }),
  );
}

/** Returns a model's weights in f32 by CompVis' names. */
export async function weightsOf(model: string, scratch: string): Promise<Map<string, Float32Array>> {
  await convertModel(model, scratch, { keep: ALL_F32 });
  return floatsOf(scratch);
}

export const ALL_F32 = [{ pattern: '*', type: 'f32' }] as const;

/**
 * Writes the U-Net of a tiny model as ComfyUI-GGUF does: tensors of other row lengths as Q8_0 in blocks that span rows,
 * with their shapes in the metadata. Their values follow from the bytes of the originals.
 */
export async function writeSpanningUNet(model: TinyModel, path: string): Promise<string> {
  writeSingleFile(model, `${path}.safetensors`);
  const prefix = 'model.diffusion_model.';
  const data: Buffer[] = [];
  let offset = 0;
  const metadata: [string, Buffer][] = [];
  const tensors = [...(await tensorsOf(`${path}.safetensors`))].flatMap(([full, { shape, data: bytes }]) => {
    if (!full.startsWith(prefix)) return [];
    const name = full.slice(prefix.length);
    const count = bytes.length / 2;
    const spans = shape.length > 1 && count % 256 === 0 && shape.at(-1)! % 32 !== 0;
    if (spans)
      metadata.push([
        `comfy.gguf.orig_shape.${name}`,
        value(9, u32(5), u64(shape.length), ...shape.map((side) => u32(side))),
      ]);
    const stored = spans ? blocksOf(bytes) : Buffer.from(bytes);
    const padding = Buffer.alloc((32 - (stored.length % 32)) % 32);
    data.push(stored, padding);
    const entry = {
      ...{ name, ne: spans ? [256, count / 256] : shape.toReversed() },
      ...{ type: spans ? Q8_0 : F16, offset },
    };
    offset += stored.length + padding.length;
    return [entry];
  });
  const header = build({ tensors, metadata, data: offset });
  writeFileSync(`${path}.gguf`, Buffer.concat([header.subarray(0, header.length - offset), ...data]));
  return `${path}.gguf`;
}

/** Blocks of 32 values as Q8_0: a scale, and the first byte of each f16 value. */
function blocksOf(halves: Uint8Array): Buffer {
  const scale = Buffer.alloc(2);
  scale.writeUInt16LE(f16(2 ** -10));
  const values = Int8Array.from({ length: halves.length / 2 }, (_, i) => (halves[2 * i]! << 24) >> 24);
  const blocks = Array.from({ length: values.length / 32 }, (_, i) => [
    scale,
    Buffer.from(values.subarray(32 * i, 32 * i + 32)),
  ]);
  return Buffer.concat(blocks.flat());
}
