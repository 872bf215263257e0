import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { AutoencoderSource, ModelSource } from '../../../lib/checkpoint/model-descriptor.js';
import { openModel } from '../../../lib/families/registry.js';
import { Autoencoder } from '../../../lib/modules/autoencoder.js';
import { TextEncoder } from '../../../lib/modules/text-encoder.js';
import { UNet } from '../../../lib/modules/unet.js';
import { Tensor } from '../../../lib/tensor/tensor.js';
import { writeFolder } from '../../support/checkpoint/folders.js';
import {
  checkpoint,
  components,
  type ReferenceComponent,
  type ReferenceFamily,
  reference,
} from '../../support/checkpoint/reference-names.js';
import { headerOf, scratch } from '../../support/checkpoint/sparse-files.js';

const folder = scratch();

/** Random weights that preserve the scale of activations: norms near 1, the rest scaled by fan-in. */
function weightsOf({ rows }: ReferenceComponent): Map<string, Float32Array> {
  let state = 7;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  return new Map(
    rows.map(([name, shape]) => {
      const inputs = shape.slice(1).reduce((product, side) => product * side, 1);
      const centre = /norm\d?\.weight$/.test(name) ? 1 : 0;
      const scale = shape.length === 1 ? 0.1 : Math.sqrt(3 / inputs);
      const size = shape.reduce((product, side) => product * side, 1);
      return [name, Float32Array.from({ length: size }, () => centre + scale * random())];
    }),
  );
}

/** Returns the same values under the file's names: fused rows joined, transposed matrices turned. */
function inFile({ rows }: ReferenceComponent, weights: Map<string, Float32Array>): Map<string, Float32Array> {
  const file = new Map<string, Float32Array>();
  for (const [name, , source, shape, op] of rows) {
    const values = weights.get(name)!;
    const [height = 0, width = 1] = shape;
    const whole = file.get(source) ?? new Float32Array(shape.reduce((product, side) => product * side, 1));
    if (op?.[0] === 'transpose') {
      for (let i = 0; i < whole.length; i++) whole[i] = values[(i % width) * height + Math.floor(i / width)]!;
    } else whole.set(values, op === null ? 0 : op[1] * (whole.length / height));
    file.set(source, whole);
  }
  return file;
}

/** Fills the sparse data of a file behind its header. */
async function fill(path: string, tensors: Iterable<Float32Array>, header: number): Promise<void> {
  const file = await open(path, 'r+');
  let at = header;
  for (const tensor of tensors) {
    await file.write(new Uint8Array(tensor.buffer), 0, tensor.byteLength, at);
    at += tensor.byteLength;
  }
  await file.close();
}

async function writeBoth(
  name: string,
  family: ReferenceFamily,
): Promise<{ inFolder: ModelSource; inFile: ModelSource }> {
  const path = await writeFolder(join(folder, name), family, 'F32');
  const tensors = checkpoint(family, 'F32');
  const { header } = headerOf(tensors);
  const single = join(folder, `${name}.safetensors`);
  const file = await open(single, 'w');
  await file.write(header);
  await file.close();
  const whole = new Map<string, Float32Array>();
  const source = await openModel(path);
  const parts = [...source.textEncoders, source.unet, source.autoencoder];
  for (const [i, component] of components(family).entries()) {
    const weights = weightsOf(component);
    for (const [key, values] of inFile(component, weights)) whole.set(key, values);
    const [first] = parts[i]!.weights.tensors.values();
    await fill(
      first!.file,
      [...parts[i]!.weights.tensors.keys()].map((key) => weights.get(key)!),
      first!.offset,
    );
  }
  await fill(
    single,
    Object.keys(tensors).map((key) => whole.get(key)!),
    header.length,
  );
  return { inFolder: source, inFile: await openModel(single) };
}

/** Returns all outputs of the modules for fixed inputs. */
async function outputs({
  textEncoders,
  unet: unetSource,
  autoencoder: autoencoderSource,
}: ModelSource): Promise<Tensor[]> {
  const found: Tensor[] = [];
  const wave = (shape: number[]): Tensor => {
    const tensor = Tensor.zeros(shape);
    tensor.data.forEach((_, i) => {
      tensor.data[i] = Math.sin(i * 0.7);
    });
    return tensor;
  };
  for (const source of textEncoders) {
    await using encoder = await TextEncoder.load(source);
    const tokens = Tensor.from(
      Int32Array.from({ length: 16 }, (_, i) => 61 * i),
      [1, 16],
    );
    const eosIndex = Tensor.from(Int32Array.of(9), [1]);
    // The same hidden state for each layout: SD2's folders have one layer less than its single files.
    const { hidden, pooled } = await encoder.encode(
      { tokens, eosIndex },
      { layer: 1, finalNorm: source.finalNorm },
    );
    found.push(hidden, pooled!);
  }
  await using unet = await UNet.load(unetSource);
  const { cross_attention_dim: context, addition } = unet.config;
  const { sample } = await unet.forward({
    sample: wave([1, 4, 8, 8]),
    timestep: Tensor.from(Float32Array.of(321), [1]),
    context: wave([1, 16, context]),
    ...(addition && {
      textEmbeds: wave([1, addition.input_dim - 6 * addition.time_embed_dim]),
      timeIds: wave([1, 6]),
    }),
  });
  await using autoencoder = await Autoencoder.load(autoencoderSource as AutoencoderSource);
  found.push(
    sample,
    await autoencoder.decode(wave([1, 4, 4, 4])),
    await autoencoder.encode(wave([1, 3, 16, 16])),
  );
  return found;
}

describe.each(['tiny_sd1', 'tiny_sd2', 'tiny_sdxl'])('%s', (name) => {
  test('computes the same values from a folder and from a single file', async () => {
    const sources = await writeBoth(name, reference[name]!);
    const [fromFolder, fromFile] = [await outputs(sources.inFolder), await outputs(sources.inFile)];
    expect(fromFile).toHaveLength(fromFolder.length);
    fromFolder.forEach(({ data, shape }, i) => {
      expect(fromFile[i]!.shape).toEqual(shape);
      expect([...fromFile[i]!.data]).toEqual([...data]);
      expect(new Set(data).size).toBeGreaterThan(data.length / 2);
      expect(data.every(Number.isFinite)).toBe(true);
    });
  });
});
