// @ts-check
/**
 * Names and shapes of the tensors of published VQGAN and latent diffusion checkpoints, and their YAML configs. The shapes are
 * those that the native modules require for these configs. Requires `npm run prepare`.
 */
import { readFileSync } from 'node:fs';
import { requirements } from '../.build/lib/binding/module.js';
import { readUNetConfig } from '../.build/lib/checkpoint/config/diffusers/unet.js';
import { readFirstStageConfig } from '../.build/lib/checkpoint/config/omegaconf/first-stage.js';
import { ModelConfig } from '../.build/lib/checkpoint/config/omegaconf/model-config.js';
import { autoencoderTable } from '../.build/lib/checkpoint/naming/ldm-autoencoder.js';
import { unetTable } from '../.build/lib/checkpoint/naming/ldm-unet.js';

/** @typedef {{ target: string, params: any }} Section */
/** @typedef {{ shapes: Map<string, number[]>, yaml: { model: Section } }} Published */

/** @type {Record<string, Section>} */
const autoencoders = JSON.parse(
  readFileSync(new URL('../test/fixtures/vq/shapes.json', import.meta.url), 'utf8'),
);

/** All names that `published` accepts. */
export const publishedNames = [...Object.keys(autoencoders), 'taming-24', 'cin256-v2'];

/** @param {string} name one of `publishedNames` @returns {Published} */
export function published(name) {
  if (name === 'taming-24') return tamingTransformer();
  if (name === 'cin256-v2') return classConditional();
  const model = withoutLosses(autoencoders[name]);
  return { shapes: autoencoder(model, ''), yaml: { model } };
}

/** Returns VQGAN f16 with 16,384 codes and a class-conditional transformer of D-RIN's size (24 layers, width 1024). @returns {Published} */
function tamingTransformer() {
  const first = withoutLosses(autoencoders['vqgan-f16-16384']);
  const gpt = { vocab_size: 16384, block_size: 512, n_layer: 24, n_head: 16, n_embd: 1024 };
  const model = {
    target: 'taming.models.cond_transformer.Net2NetTransformer',
    params: {
      first_stage_config: first,
      cond_stage_config: { target: 'taming.modules.util.Labelator', params: { n_classes: 1000 } },
      transformer_config: { target: 'taming.modules.transformer.mingpt.GPT', params: gpt },
    },
  };
  const transformer = asked('latent_transformer', { ...gpt, n_unmasked: 0 }, 'transformer.');
  transformer.set('transformer.pos_emb', [1, gpt.block_size, gpt.n_embd]);
  return { shapes: new Map([...autoencoder(first, 'first_stage_model.'), ...transformer]), yaml: { model } };
}

/** Returns the class-conditional latent diffusion model of ImageNet: 1000 classes and an empty class, over VQ-f4. @returns {Published} */
function classConditional() {
  const first = withoutLosses(autoencoders['vq-f4']);
  const widths = [192, 384, 576, 960];
  const config = readUNetConfig(
    {
      _class_name: 'UNet2DConditionModel',
      in_channels: 3,
      out_channels: 3,
      block_out_channels: widths,
      down_block_types: ['DownBlock2D', ...Array(3).fill('CrossAttnDownBlock2D')],
      up_block_types: [...Array(3).fill('CrossAttnUpBlock2D'), 'UpBlock2D'],
      cross_attention_dim: 512,
      attention_head_dim: 1,
    },
    'cin256-v2',
  );
  const table = unetTable(config.layers_per_block, config.up_attention);
  const network = {
    ...{ image_size: 64, in_channels: 3, out_channels: 3, model_channels: 192, num_res_blocks: 2 },
    ...{ attention_resolutions: [8, 4, 2], channel_mult: [1, 2, 3, 5], num_heads: 1 },
    ...{ use_spatial_transformer: true, transformer_depth: 1, context_dim: 512 },
  };
  const model = {
    target: 'ldm.models.diffusion.ddpm.LatentDiffusion',
    params: {
      ...{ linear_start: 0.0015, linear_end: 0.0195, timesteps: 1000, image_size: 64, channels: 3 },
      ...{ cond_stage_key: 'class_label', conditioning_key: 'crossattn' },
      unet_config: { target: 'ldm.modules.diffusionmodules.openaimodel.UNetModel', params: network },
      first_stage_config: first,
      cond_stage_config: {
        target: 'ldm.modules.encoders.modules.ClassEmbedder',
        params: { n_classes: 1001, embed_dim: 512, key: 'class_label' },
      },
    },
  };
  const shapes = new Map([
    ...asked('unet', { ...config }, 'model.diffusion_model.', (one) => table.source(one)),
    ...autoencoder(first, 'first_stage_model.'),
  ]);
  return { shapes: shapes.set('cond_stage_model.embedding.weight', [1001, 512]), yaml: { model } };
}

/** @param {Section} model @param {string} prefix */
function autoencoder({ target, params }, prefix) {
  const unscaled = { scaling_factor: 1, shift_factor: 0 };
  const { kind, config } = readFirstStageConfig(new ModelConfig('published', { target, params }), unscaled);
  const { layers_per_block: blocks, block_out_channels: levels } = config;
  const table = autoencoderTable(levels.length, blocks, blocks + 1);
  return asked(kind, { ...config }, prefix, (one) => table.source(one));
}

/**
 * Returns the tensors that a native module requires, under the checkpoint's names.
 * @param {import('../.build/lib/binding/types.js').ModuleKind} kind
 * @param {import('../.build/lib/binding/types.js').NativeConfig} config
 * @param {string} prefix
 * @param {(canonical: string) => string | null} source
 * @returns {Map<string, number[]>}
 */
export function asked(kind, config, prefix, source = (name) => name) {
  return new Map(
    requirements(kind, config).map(({ name, shape }) => [prefix + (source(name) ?? name), [...shape]]),
  );
}

/** @param {Section | undefined} section @returns {Section} */
function withoutLosses(section) {
  if (!section) throw new Error('Expected a section of an autoencoder, received none');
  const { target, params } = section;
  return { target, params: { ...params, lossconfig: { target: 'torch.nn.Identity' } } };
}
