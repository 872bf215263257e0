/** Limits are declared once; the API, jobs, the command line and files agree. */
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { readUNetConfig } from '../../lib/checkpoint/config/diffusers/unet.js';
import {
  CONFIG_KEY,
  CONFIG_VERSION,
  readEmbeddedConfig,
} from '../../lib/checkpoint/config/embedded-config.js';
import { addGenerateOptions } from '../../lib/cli/generate-options.js';
import { defaultLimits, jobSchemas } from '../../lib/jobs/schemas.js';
import { apiLimits } from '../../lib/options/limits.js';
import { resolveOptions } from '../../lib/pipelines/options.js';

const schema = jobSchemas(defaultLimits)['text-to-image'];
const accepts = {
  'the API': (options: object): boolean => passes(() => resolveOptions(options, {}, 8)),
  'a job': (options: object): boolean => schema.safeParse(options).success,
};

function passes(call: () => unknown): boolean {
  try {
    call();
    return true;
  } catch {
    return false;
  }
}

function parses(...args: string[]): boolean {
  const command = new Command().exitOverride().configureOutput({ outputError: () => undefined });
  addGenerateOptions(command);
  return passes(() => command.parse(args, { from: 'user' }));
}

describe('limits of options', () => {
  it.each([
    ['deepCache.branch', (branch: number) => ({ deepCache: { branch } }), '--deepcache-branch', 35],
    ['class', (label: number) => ({ class: label }), '--class', 2 ** 24],
    [
      'etaNoiseSeedDelta',
      (delta: number) => ({ etaNoiseSeedDelta: delta }),
      '--eta-noise-seed-delta',
      2 ** 31,
    ],
  ] as const)('are the same everywhere for %s', (_, options, flag, most) => {
    for (const [where, accept] of Object.entries(accepts)) {
      expect([where, accept(options(most))]).toEqual([where, true]);
      expect([where, accept(options(most + 1))]).toEqual([where, false]);
    }
    expect([parses(`${flag}=${most}`), parses(`${flag}=${most + 1}`)]).toEqual([true, false]);
  });

  it('are stricter for jobs if the server is configured so', () => {
    const { maxSteps } = defaultLimits;
    expect(accepts['the API']({ steps: apiLimits.maxSteps })).toBe(true);
    expect(accepts['a job']({ steps: maxSteps })).toBe(true);
    expect(accepts['a job']({ steps: maxSteps + 1 })).toBe(false);
    expect(
      jobSchemas({ ...defaultLimits, maxSteps: 7 })['text-to-image'].safeParse({ steps: 8 }).success,
    ).toBe(false);
  });

  it('are the same for transformer layers of a U-Net in a folder and in a GGUF file', () => {
    const config = (layers: number) =>
      readUNetConfig(
        { _class_name: 'UNet2DConditionModel', transformer_layers_per_block: layers },
        'a folder',
      );
    const embedded = (layers: number) => {
      const unet = config(1);
      const depths = unet.transformer_layers_per_block.map((depth) => (depth === 0 ? 0 : layers));
      const value = {
        ...{ version: CONFIG_VERSION, family: null, text_encoders: [], autoencoder: null, scheduler: null },
        ...{
          defaults: {},
          force_zeros_for_empty_prompt: false,
          prediction_uncertain: false,
          own_size: false,
        },
        unet: { ...unet, transformer_layers_per_block: depths },
      };
      return readEmbeddedConfig(
        new Map([[CONFIG_KEY, { type: 'string', value: JSON.stringify(value) }]]),
        'a.gguf',
      );
    };
    expect(config(128).transformer_layers_per_block).toContain(128);
    expect(embedded(128)?.unet?.transformer_layers_per_block).toContain(128);
    expect(() => config(129)).toThrow('128');
    expect(() => embedded(129)).toThrow('128');
  });
});
