import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { WeightPlanEntry } from '../../../lib/binding/types.js';
import { readAutoencoderConfig } from '../../../lib/checkpoint/config/diffusers/autoencoder.js';
import { readTextEncoderConfig } from '../../../lib/checkpoint/config/diffusers/text-encoder.js';
import { readUNetConfig } from '../../../lib/checkpoint/config/diffusers/unet.js';
import type { ComponentWeights } from '../../../lib/checkpoint/weights/component.js';
import { openModel } from '../../../lib/families/registry.js';
import {
  checkpoint,
  type ReferenceComponent,
  reference,
  requirements,
} from '../../support/checkpoint/reference-names.js';
import { scratch, writeSparse } from '../../support/checkpoint/sparse-files.js';

const folder = scratch();

/** Returns the plan's entries in the fixture's form. */
function rowsOf(weights: ComponentWeights, component: ReferenceComponent): unknown[] {
  const names = new Map([...weights.tensors.values()].map((tensor) => [tensor.offset, tensor.name]));
  const op = ({ transform }: WeightPlanEntry): unknown[] | null => {
    if (transform === undefined) return null;
    return transform.op === 'rows' ? ['rows', transform.start, transform.end] : ['transpose'];
  };
  return weights
    .plan(requirements(component))
    .entries.map((e) => [e.name, e.shape, names.get(e.source.offset), e.source.shape, op(e)]);
}

describe.each(Object.keys(reference))('a single file of %s', (name) => {
  const family = reference[name]!;
  const file = writeSparse(join(folder, `${name}.safetensors`), checkpoint(family));

  test('maps one to one to the tensors of diffusers and leaves none over', async () => {
    const source = await openModel(await file);
    const found = [...source.textEncoders, source.unet, source.autoencoder];
    const expected = [...family.text_encoders, family.unet, family.vae];
    expect(found).toHaveLength(expected.length);
    found.forEach(({ weights }, i) => {
      expect(rowsOf(weights, expected[i]!)).toEqual(expected[i]!.rows);
      expect(weights.parameters.size).toBe(expected[i]!.rows.length);
    });
    expect(source.ignored).toEqual([]);
    expect(source.family).toBe(name.replace('tiny_', ''));
  });

  test('has the configs of the corresponding folder', async () => {
    const source = await openModel(await file);
    const { sample_size: _, ...unet } = source.unet.config;
    const { sample_size: __, ...expected } = readUNetConfig(family.unet.config, 'unet/config.json');
    expect(unet).toEqual(expected);
    const xl = source.family.startsWith('sdxl');
    expect(source.autoencoder.config).toEqual({
      ...readAutoencoderConfig(family.vae.config, 'vae/config.json'),
      scaling_factor: xl ? 0.13025 : 0.18215,
    });
    source.textEncoders.forEach(({ config, pooled }, i) => {
      expect(config).toEqual(readTextEncoderConfig(family.text_encoders[i]!.config, 'config.json', pooled));
    });
  });
});
