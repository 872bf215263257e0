/** Single components as GGUF and safetensors files, under the names that common tools write. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readGguf } from '../../../lib/checkpoint/formats/gguf.js';
import { openWeights } from '../../../lib/checkpoint/formats/open-weights.js';
import { openModel } from '../../../lib/families/registry.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import { convertModel } from '../../../lib/tools/convert.js';
import { inspectModel } from '../../../lib/tools/inspect.js';
import { scratch } from '../../support/checkpoint/sparse-files.js';
import { build, F16, Q8_0, u32, u64, value } from '../../support/gguf/bytes.js';
import { latentOf, type Written, writeGguf } from '../../support/gguf/models.js';
import {
  f16,
  type TinyModel,
  writeFolder,
  writeSafetensors,
  writeSingleFile,
} from '../../support/tiny-models.js';

const root = scratch();
const UNET = 'model.diffusion_model.';
const WEIGHTS = 'diffusion_pytorch_model';

/** Returns the tensors of a file whose names begin with a prefix, without the prefix. */
async function cut(file: string, prefix: string): Promise<Written[]> {
  const bytes = readFileSync(file);
  return [...(await openWeights(file)).tensors.values()]
    .filter(({ name }) => name.startsWith(prefix))
    .map(({ name, dtype, shape, offset, length }) => ({
      name: name.slice(prefix.length),
      dtype,
      shape,
      data: bytes.subarray(offset, offset + length),
    }));
}

const under = (prefix: string, tensors: readonly Written[]): Written[] =>
  tensors.map((tensor) => ({ ...tensor, name: prefix + tensor.name }));

function write(path: string, tensors: readonly Written[]): string {
  if (path.endsWith('.gguf')) writeGguf(path, tensors);
  else writeSafetensors(path, new Map(tensors.map((tensor) => [tensor.name, tensor])));
  return path;
}

async function refusal(path: string, options = {}): Promise<{ code: string; message: string }> {
  const [opened, loaded] = await Promise.all(
    [openModel(path, options), Pipeline.load(path, options)].map((work) =>
      work.then(
        () => ({ code: 'none', message: 'it loads' }),
        (error: { code: string; message: string }) => ({ code: error.code, message: error.message }),
      ),
    ),
  );
  expect(loaded).toEqual(opened);
  return opened!;
}

describe('a U-Net file', () => {
  const text: Record<string, RegExp> = {
    sd1: /U-Net of Stable Diffusion 1 .*Missing: text encoder \(CLIP ViT-L, 768 wide\), its tokenizer, autoencoder \(VAE\);/,
    sd2: /U-Net of Stable Diffusion 2 .*Missing: text encoder \(OpenCLIP ViT-H, 1024 wide\), its tokenizer, autoencoder \(VAE\);/,
    sdxl: /U-Net of Stable Diffusion XL .*Missing: text encoder \(CLIP ViT-L, 768 wide\), text encoder 2 \(OpenCLIP ViT-bigG, 1280 wide\), their tokenizers, autoencoder \(VAE\);/,
  };
  const widths: Record<string, number> = { sd1: 768, sd2: 1024, sdxl: 2048 };

  test.each(['sd1', 'sd2', 'sdxl'] as TinyModel[])(
    'of %s reports which components are missing and how to provide them',
    async (model) => {
      const whole = writeSingleFile(model, join(root, `${model}.safetensors`));
      // The tiny models' contexts are narrow; the family is detected by the real width.
      const wide = (await cut(whole, UNET)).map((tensor) => {
        if (!/attn2\.to_[kv]\.weight$/.test(tensor.name)) return tensor;
        const shape = [tensor.shape[0]!, widths[model]!];
        return { ...tensor, shape, data: Buffer.alloc(2 * shape[0]! * shape[1]!) };
      });
      const diffusers = await cut(
        join(writeFolder(model, join(root, model)), 'unet', `${WEIGHTS}.safetensors`),
        '',
      );
      for (const [name, prefix] of [
        ['bare', ''],
        ['comfy', 'diffusion_model.'],
        ['cpp', UNET],
      ]) {
        for (const ending of ['gguf', 'safetensors']) {
          const path = write(join(root, `${name}-${model}.${ending}`), under(prefix!, wide));
          const { code, message } = await refusal(path);
          expect(code).toBe(prefix === UNET ? 'MISSING_TENSOR' : 'UNSUPPORTED_MODEL');
          expect(message).toMatch(text[model]!);
          expect(message).toMatch(/the vae option \(--vae\) gives the autoencoder/);
          expect(message).toContain(`FOLDER/unet/${WEIGHTS}.${ending}`);
          const { message: withVae } = await refusal(path, { vae: join(root, model, 'vae') });
          expect(withVae).not.toMatch(/autoencoder \(VAE\)/);
          const found = await inspectModel(path);
          expect(found).toMatchObject({ form: 'component', problem: message });
          expect(found.components).toMatchObject([{ name: 'unet', kind: 'unet', dialect: 'ldm' }]);
          expect(found.components[0]?.plan).not.toBeNull();
        }
      }
      for (const prefix of ['', 'unet.']) {
        const path = write(join(root, `diffusers-${model}.gguf`), under(prefix, diffusers));
        expect((await refusal(path)).message).toMatch(/but no text encoder\. Missing: /);
        const found = await inspectModel(path);
        expect(found.components).toMatchObject([{ kind: 'unet', dialect: 'diffusers' }]);
        expect(found.components[0]?.plan).not.toBeNull();
      }
    },
  );

  test.each(['sd1', 'sd2', 'sdxl'] as TinyModel[])(
    'of %s loads in place of the weights of a diffusers folder',
    async (model) => {
      const folder = writeFolder(model, join(root, `${model}-folder`));
      const own = join(folder, 'unet', `${WEIGHTS}.safetensors`);
      const before = await latentOf(folder);
      const whole = writeSingleFile(model, join(root, `${model}-whole.safetensors`));
      const [ldm, diffusers] = [await cut(whole, UNET), await cut(own, '')];
      rmSync(own);
      const files: [name: string, tensors: readonly Written[]][] = [
        [`${WEIGHTS}.gguf`, ldm],
        ['anything-f16.gguf', under('diffusion_model.', ldm)],
        [`${WEIGHTS}.safetensors`, under(UNET, ldm)],
        [`${WEIGHTS}.gguf`, diffusers],
      ];
      for (const [name, tensors] of files) {
        const path = write(join(folder, 'unet', name), tensors);
        expect((await inspectModel(folder)).problem, name).toBeNull();
        expect(await latentOf(folder), name).toEqual(before);
        rmSync(path);
      }
    },
  );

  test('next to text encoders needs no prefix, and an option provides the autoencoder', async () => {
    const whole = writeSingleFile('sd1', join(root, 'options.safetensors'));
    const before = await latentOf(whole);
    const parts = await cut(whole, '');
    const rest = parts.filter(({ name }) => name.startsWith('cond_stage_model.'));
    const unet = parts.filter(({ name }) => name.startsWith(UNET));
    const short = unet.map((tensor) => ({ ...tensor, name: tensor.name.slice(UNET.length) }));
    const path = write(join(root, 'no-prefix.safetensors'), [...short, ...rest]);
    expect((await refusal(path)).message).toMatch(/no autoencoder .*vae option/);
    expect(await latentOf(path, { vae: whole })).toEqual(before);
  });
});

describe('a file of another component', () => {
  test('reports what it is and how to use it', async () => {
    const whole = writeSingleFile('sd2', join(root, 'parts.safetensors'));
    const vae = write(join(root, 'vae.safetensors'), await cut(whole, 'first_stage_model.'));
    expect(await refusal(vae)).toEqual({
      code: 'UNSUPPORTED_MODEL',
      message: expect.stringMatching(
        /holds no U-Net .* but of autoencoder \(VAE\) alone\. Missing: U-Net, text encoder, tokenizer\. .*--vae/,
      ),
    });
    expect((await inspectModel(vae)).components).toMatchObject([{ kind: 'autoencoder_kl' }]);
    const text = write(join(root, 'text.safetensors'), await cut(whole, 'cond_stage_model.model.'));
    expect((await refusal(text)).message).toMatch(
      /of text encoder alone\. Missing: U-Net, autoencoder \(VAE\)\./,
    );
    expect((await inspectModel(text)).components).toMatchObject([
      { kind: 'text_encoder', dialect: 'openclip' },
    ]);
  });

  test('with CompVis or OpenCLIP names loads in place of the weights of a diffusers folder', async () => {
    const folder = writeFolder('sd2', join(root, 'replaced'));
    const before = await latentOf(folder);
    const parts = await cut(
      writeSingleFile('sd2', join(root, 'replacing.safetensors')),
      'first_stage_model.',
    );
    write(join(folder, 'vae', `${WEIGHTS}.safetensors`), parts);
    expect((await inspectModel(folder)).problem).toBeNull();
    expect(await latentOf(folder)).toEqual(before);
  });
});

describe('tensors that ComfyUI-GGUF stores as rows of 256', () => {
  const STEP = 2 ** -7;
  const count = (shape: readonly number[]): number => shape.reduce((all, side) => all * side, 1);
  /** Follows the rule of its converter. */
  const isRearranged = (shape: readonly number[]): boolean =>
    shape.length > 1 && count(shape) >= 512 && count(shape) % 256 === 0 && shape.at(-1)! % 256 !== 0;

  /** F16 bits as integer steps from -127 to 127. */
  const quants = (data: Uint8Array): number[] => {
    const halves = new Uint16Array(Uint8Array.from(data).buffer);
    return [...halves].map((bits) => {
      const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
      const number = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
      return Math.max(-127, Math.min(127, Math.round((sign * number) / STEP)));
    });
  };
  const q8 = (steps: readonly number[]): Buffer => {
    const blocks: Buffer[] = [];
    for (let i = 0; i < steps.length; i += 32) {
      const scale = Buffer.alloc(2);
      scale.writeUInt16LE(f16(STEP));
      blocks.push(scale, Buffer.from(Int8Array.from(steps.slice(i, i + 32)).buffer));
    }
    return Buffer.concat(blocks);
  };
  const shapeOf = (shape: readonly number[]): Buffer =>
    value(9, u32(5), u64(shape.length), ...shape.map((side) => u32(side)));

  function rearranged(path: string, tensors: readonly Written[], quantized: boolean): string {
    const metadata: [string, Buffer][] = [];
    let offset = 0;
    const data: Buffer[] = [];
    const entries = tensors.map(({ name, shape, data: bytes }) => {
      const moved = isRearranged(shape);
      if (moved) metadata.push([`comfy.gguf.orig_shape.${name}`, shapeOf(shape)]);
      const out = moved && quantized ? q8(quants(bytes)) : Buffer.from(bytes);
      const padded = Math.ceil(out.length / 32) * 32;
      data.push(out, Buffer.alloc(padded - out.length));
      const entry = {
        name,
        ne: moved ? [256, count(shape) / 256] : shape.toReversed(),
        type: moved && quantized ? Q8_0 : F16,
        offset,
      };
      offset += padded;
      return entry;
    });
    const header = build({ tensors: entries, metadata, data: offset });
    writeFileSync(path, Buffer.concat([header.subarray(0, header.length - offset), ...data]));
    return path;
  }

  test('get their original shapes', async () => {
    const ldm = await cut(writeSingleFile('sd1', join(root, 'shapes.safetensors')), UNET);
    const { tensors } = await readGguf(rearranged(join(root, 'shapes.gguf'), ldm, false));
    expect(ldm.some(({ shape }) => isRearranged(shape))).toBe(true);
    for (const { name, shape } of ldm) expect(tensors.get(name)?.shape, name).toEqual(shape);
  });

  test.each(['sd1', 'sdxl'] as TinyModel[])(
    'give the same latent as the original tensors (%s)',
    async (model) => {
      const folder = writeFolder(model, join(root, `${model}-comfy`));
      const unet = join(folder, 'unet');
      const ldm = await cut(writeSingleFile(model, join(root, `${model}-comfy.safetensors`)), UNET);
      const rounded = ldm.map((tensor) =>
        isRearranged(tensor.shape)
          ? {
              ...tensor,
              data: new Uint8Array(Uint16Array.from(quants(tensor.data), (q) => f16(q * STEP)).buffer),
            }
          : tensor,
      );
      write(join(unet, `${WEIGHTS}.safetensors`), rounded);
      const expected = await latentOf(folder, { storage: 'f16' });
      // In smaller pieces, whose sums round differently.
      const lean = await latentOf(folder, { storage: 'f16', memory: 'lean' });
      rmSync(join(unet, `${WEIGHTS}.safetensors`));
      rearranged(join(unet, 'unet-Q8_0.gguf'), ldm, true);
      expect((await inspectModel(folder)).problem).toBeNull();
      expect(await latentOf(folder, { storage: 'f16' })).toEqual(expected);
      expect(await latentOf(folder, { storage: 'f16', memory: 'lean' })).toEqual(lean);
      // With the types of the file: rows that are quantized stay quantized.
      expect((await latentOf(folder)).every(Number.isFinite)).toBe(true);
      const out = join(root, `${model}-converted.gguf`);
      await convertModel(folder, out);
      expect(await latentOf(out, { storage: 'f16' })).toEqual(expected);
    },
  );

  test.each<[string, Buffer]>([
    ['other values', shapeOf([3, 3])],
    ['an empty list', shapeOf([])],
    ['an empty dimension', shapeOf([0, 256])],
    ['text', value(8, u64(1), Buffer.from('x'))],
  ])('with %s as their shape are rejected', async (_, bytes) => {
    const path = join(root, 'wrong.gguf');
    writeFileSync(
      path,
      build({
        tensors: [{ name: 'a', ne: [256, 2], type: F16, offset: 0 }],
        metadata: [['comfy.gguf.orig_shape.a', bytes]],
        data: 1024,
      }),
    );
    await expect(readGguf(path)).rejects.toMatchObject({
      code: 'INVALID_FILE',
      message: expect.stringMatching(/orig_shape|original shape/),
    });
  });
});
