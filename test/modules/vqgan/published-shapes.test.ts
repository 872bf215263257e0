/**
 * Published autoencoders: each config requires exactly the parameters of the reference, and has attention at
 * the same levels.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { requirements } from '../../../lib/binding/module.js';
import { autoencoderDownsampleFactor } from '../../../lib/checkpoint/config/diffusers/autoencoder.js';
import { readFirstStageConfig } from '../../../lib/checkpoint/config/omegaconf/first-stage.js';
import { ModelConfig } from '../../../lib/checkpoint/config/omegaconf/model-config.js';
import { autoencoderTable } from '../../../lib/checkpoint/naming/ldm-autoencoder.js';
import { withoutTrailingOnes } from '../../../lib/checkpoint/weights/storage.js';

interface Published {
  readonly target: string;
  readonly params: { readonly ddconfig: { readonly ch_mult: number[] } };
  readonly tensors: number;
  readonly digest: string;
}

const published = JSON.parse(
  readFileSync(new URL('../../fixtures/vq/shapes.json', import.meta.url), 'utf8'),
) as Record<string, Published>;

const UNSCALED = { scaling_factor: 1, shift_factor: 0 };

/** Levels of the encoder with attention, finest first. */
const ATTENDS: Readonly<Record<string, number[]>> = {
  'kl-f16': [4],
  'kl-f32': [4, 5],
  'vq-f8': [3],
  'vq-f8-n256': [3],
  'vq-f16': [4],
  'vqgan-f16-1024': [4],
  'vqgan-f16-16384': [4],
  'gumbel-f8': [3],
};

describe.each(Object.entries(published))('%s', (name, { target, params, tensors, digest }) => {
  const found = readFirstStageConfig(new ModelConfig('config.yaml', { target, params } as never), UNSCALED);
  const { config } = found;

  test('requires exactly the parameters of the reference', () => {
    const table = autoencoderTable(
      config.block_out_channels.length,
      config.layers_per_block,
      config.layers_per_block + 1,
    );
    const asked = requirements(found.kind, { ...config });
    expect(asked).toHaveLength(tensors);
    const lines = asked.map(
      (one) => `${table.source(one.name) ?? one.name} ${withoutTrailingOnes(one.shape).join('x')}`,
    );
    expect(createHash('sha256').update(lines.sort().join('\n')).digest('hex')).toBe(digest);
  });

  test('has attention at its nominal resolutions, and halves the size once per level', () => {
    const levels = config.down_attention.flatMap((attends, level) => (attends ? [level] : []));
    expect(levels).toEqual(ATTENDS[name] ?? []);
    expect(config.up_attention).toEqual([...config.down_attention].reverse());
    expect(config.mid_attention).toBe(!name.endsWith('noattn'));
    expect(autoencoderDownsampleFactor(config)).toBe(Number(/f(\d+)/.exec(name)?.[1]));
  });
});
