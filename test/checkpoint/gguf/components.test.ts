import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readGguf } from '../../../lib/checkpoint/formats/gguf.js';
import { openWeights } from '../../../lib/checkpoint/formats/open-weights.js';
import { openModel } from '../../../lib/families/registry.js';
import { convertModel } from '../../../lib/tools/convert.js';
import { inspectModel } from '../../../lib/tools/inspect.js';
import { scratch } from '../../support/checkpoint/sparse-files.js';
import { latentOf, writeGguf } from '../../support/gguf/models.js';
import { editJson, type TinyModel, writeFolder, writeSingleFile } from '../../support/tiny-models.js';

const root = scratch();

describe('a converted component', () => {
  test.each([
    ['unet', 'unet', 'model.diffusion_model.'],
    ['vae', 'autoencoder_kl', 'first_stage_model.'],
    ['text_encoder', 'text_encoder', 'text_model.'],
  ])('is written and read back with its config: %s', async (name, kind, prefix) => {
    const folder = join(writeFolder('sd2', join(root, 'sd2-parts')), name);
    const out = join(root, `${name}.gguf`);
    expect(await convertModel(folder, out)).toMatchObject({ family: null });
    const [was, is] = [await inspectModel(folder), await inspectModel(out)];
    expect(is.components).toHaveLength(1);
    expect(is.components[0]).toMatchObject({ kind, config: was.components[0]!.config });
    expect(is.components[0]!.plan).not.toBeNull();
    for (const { name: tensor } of is.tensors) expect(tensor.startsWith(prefix)).toBe(true);
    // And converted again.
    await convertModel(out, join(root, 'again.gguf'));
    expect(readFileSync(join(root, 'again.gguf')).equals(readFileSync(out))).toBe(true);
  });

  test('is rejected by name if a converted file has no place for it', async () => {
    const folder = join(writeFolder('sd1', join(root, 'sd1-unusual')), 'unet');
    const out = join(root, 'unusual.gguf');
    for (const fields of [{ mid_block_scale_factor: 2 }, { downsample_padding: 0 }]) {
      editJson(join(folder, 'config.json'), fields);
      await expect(convertModel(folder, out)).rejects.toMatchObject({
        code: 'UNSUPPORTED_MODEL',
        message: expect.stringContaining(Object.keys(fields)[0]!),
      });
      editJson(join(folder, 'config.json'), { mid_block_scale_factor: 1, downsample_padding: 1 });
    }
    await convertModel(folder, out);
  });

  test('can be an autoencoder for the vae option', async () => {
    const folder = writeFolder('sd1', join(root, 'sd1-vae'));
    await convertModel(join(folder, 'vae'), join(root, 'one-vae.gguf'));
    expect(await latentOf(folder, { vae: join(root, 'one-vae.gguf') })).toEqual(await latentOf(folder));
  });

  test('is not recognized as a U-Net if the file also contains text encoders', async () => {
    const file = writeSingleFile('sd1', join(root, 'sd1-whole.safetensors'));
    const { tensors } = await openWeights(file);
    const bytes = readFileSync(file);
    const rest = [...tensors.values()].filter(({ name }) => !name.startsWith('first_stage_model.'));
    const cut = join(root, 'cut.gguf');
    writeGguf(
      cut,
      rest.map(({ name, shape, offset, length, dtype }) => ({
        name,
        shape,
        dtype,
        data: bytes.subarray(offset, offset + length),
      })),
    );
    await expect(convertModel(cut, join(root, 'x.gguf'))).rejects.toMatchObject({ code: 'MISSING_TENSOR' });
  });
});

/** A single file and the latent that it generates, written once. */
const singles = new Map<
  TinyModel,
  Promise<{ file: string; options: { prediction?: 'v' }; latent: number[] }>
>();
function single(model: TinyModel) {
  const write = async () => {
    const file = writeSingleFile(model, join(root, `${model}.safetensors`));
    const options = model === 'sd2' ? ({ prediction: 'v' } as const) : {};
    return { file, options, latent: await latentOf(file, options) };
  };
  const found = singles.get(model) ?? write();
  singles.set(model, found);
  return found;
}

test.each<TinyModel>(['sd2', 'sdxl'])(
  'generates the same latent from a converted single file of %s',
  async (model) => {
    const { file, options, latent } = await single(model);
    const out = join(root, `${model}-file.gguf`);
    await convertModel(file, out, options);
    expect(await latentOf(out)).toEqual(latent);
    // Its tokenizer is the standard one.
    expect((await readGguf(out)).metadata.has('safelight.tokenizer.0')).toBe(false);
    // The same names and shapes, except for tensors that are not needed.
    const [was, is] = [(await openWeights(file)).tensors, (await openWeights(out)).tensors];
    for (const { name, shape } of is.values()) expect(was.get(name)?.shape, name).toEqual(shape);
  },
);

describe('stable-diffusion.cpp files, without metadata and with its tensor names', () => {
  // Renames tensors as its converter (0.4.7 of its Python package).
  const rename = (name: string): string =>
    name
      .replace(/^conditioner\.embedders\.0\./, 'cond_stage_model.')
      .replace(/^conditioner\.embedders\.1\.model\./, 'cond_stage_model.1.model.')
      .replace(/^(cond_stage_model\.(?:1\.)?)model\./, '$1transformer.text_model.')
      .replace('.transformer.resblocks.', '.encoder.layers.')
      .replace(/attn\.in_proj_(weight|bias)$/, 'self_attn.in_proj.$1')
      .replace('.attn.out_proj.', '.self_attn.out_proj.')
      .replace('.ln_1.', '.layer_norm1.')
      .replace('.ln_2.', '.layer_norm2.')
      .replace('.mlp.c_fc.', '.mlp.fc1.')
      .replace('.mlp.c_proj.', '.mlp.fc2.')
      .replace('text_model.ln_final.', 'text_model.final_layer_norm.')
      .replace(/text_model\.positional_embedding$/, 'text_model.embeddings.position_embedding.weight')
      .replace('text_model.token_embedding.', 'text_model.embeddings.token_embedding.');

  test.each<TinyModel>(['sd1', 'sd2', 'sdxl'])(
    'generate the same latent as their source checkpoint of %s',
    async (model) => {
      const { file, options, latent } = await single(model);
      const bytes = readFileSync(file);
      const { tensors } = await openWeights(file);
      const out = join(root, `cpp-${model}.gguf`);
      writeGguf(
        out,
        [...tensors.values()].map(({ name, dtype, offset, length, shape }) => ({
          name: rename(name),
          dtype,
          data: bytes.subarray(offset, offset + length),
          // Some writers drop the trailing dimensions of 1x1 convolutions.
          shape: model === 'sd1' && shape.length === 4 && shape[2] === 1 ? shape.slice(0, 2) : shape,
        })),
      );
      expect((await openModel(out, options)).family).toBe(model);
      expect(await latentOf(out, options)).toEqual(latent);
    },
  );
});
