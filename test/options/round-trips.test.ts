/** Random valid options survive every form in which they are written. */
import { Command } from 'commander';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addGenerateOptions, toGenerateOptions } from '../../lib/cli/generate-options.js';
import type { ModelFacts } from '../../lib/families/shared/loaded-model.js';
import { encodePng, readPngText } from '../../lib/image/png.js';
import { defaultLimits, jobSchemas } from '../../lib/jobs/schemas.js';
import { commonFields, generationFields } from '../../lib/options/declarations/generation.js';
import { hiresFields } from '../../lib/options/declarations/hires.js';
import { maskFields } from '../../lib/options/declarations/mask.js';
import { sourceFields } from '../../lib/options/declarations/source.js';
import { entriesOf, type Fields } from '../../lib/options/field.js';
import { dashed, flagsOf } from '../../lib/options/flags.js';
import { restoreOptions } from '../../lib/options/infotext/restore.js';
import { fromJson, toJson } from '../../lib/options/json.js';
import { exactOptionsOf, parametersOf } from '../../lib/pipelines/metadata.js';
import { type GenerateOptions, resolveOptions, type Settings } from '../../lib/pipelines/options.js';
import { arbitraryOptions } from '../support/arbitrary-options.js';

const pixel = { data: new Uint8Array(3), width: 1, height: 1 };
const facts = { name: 'a model' } as ModelFacts;
const resolve = (options: object): Settings => resolveOptions(options as GenerateOptions, {}, 8);

/** Options of a call that generates an image: with a size, and with images only if they are allowed. */
const calls = fc
  .record({
    kind: fc.constantFrom('text', 'image', 'inpaint'),
    options: arbitraryOptions(generationFields),
    size: fc.record({ width: fc.constantFrom(8, 64, 512), height: fc.constantFrom(8, 96, 768) }),
  })
  .map(({ kind, options, size }) => {
    const { init: _, mask: _m, hires, ...rest } = options;
    const images = { text: {}, image: { init: pixel }, inpaint: { init: pixel, mask: pixel } }[kind];
    return { ...rest, ...size, ...images, ...(kind === 'text' && hires ? { hires } : {}) };
  });

/** Returns the texts that an image with these options carries. */
function textsOf(settings: Settings): { parameters: string; safelight: string } {
  const size = { width: settings.width!, height: settings.height! };
  const seeds = { seed: settings.seed, subseed: settings.variation.subseed };
  return {
    parameters: parametersOf(facts, settings, size, seeds),
    safelight: exactOptionsOf(facts, settings, size, seeds),
  };
}

/** Returns the settings that determine the image, from restored options. */
function again(restored: ReturnType<typeof restoreOptions>, given: object): Settings['options'] {
  expect(restored).toMatchObject({ model: facts.name, unrestored: [], warnings: [] });
  const images = Object.entries(given).filter(([name]) => name === 'init' || name === 'mask');
  return resolve({ ...restored.options, ...Object.fromEntries(images) }).options;
}

describe('options in an image', () => {
  it('are restored from generation parameters', () => {
    fc.assert(
      fc.property(calls, (given) => {
        const settings = resolve(given);
        expect(again(restoreOptions(textsOf(settings).parameters), given)).toEqual(settings.options);
      }),
      { numRuns: 100 },
    );
  });

  it('are restored from exact options', () => {
    fc.assert(
      fc.property(calls, (given) => {
        const settings = resolve(given);
        const { safelight } = textsOf(settings);
        expect(again(restoreOptions({ parameters: 'else', safelight }), given)).toEqual(settings.options);
      }),
      { numRuns: 100 },
    );
  });

  it('are restored from each text of a PNG alone', async () => {
    await fc.assert(
      fc.asyncProperty(calls, async (given) => {
        const settings = resolve(given);
        const texts = readPngText(await encodePng(pixel, textsOf(settings)));
        expect(Object.keys(texts)).toEqual(['parameters', 'safelight']);
        expect(again(restoreOptions(texts), given)).toEqual(settings.options);
        const { parameters = '' } = texts;
        expect(again(restoreOptions({ parameters }), given)).toEqual(settings.options);
      }),
      { numRuns: 20 },
    );
  });
});

describe('options of a job', () => {
  const types = {
    'text-to-image': { ...commonFields, ...hiresFields },
    'image-to-image': { ...commonFields, ...sourceFields },
    inpaint: { ...commonFields, ...sourceFields, ...maskFields },
  } satisfies Record<string, Fields>;
  // Limits for one image have their own tests.
  const limits = { ...defaultLimits, maxPixels: 2 ** 40 };
  const schemas = jobSchemas(limits);

  it.each(Object.entries(types))('of type %s are restored from its JSON', (type, fields) => {
    const images = { init: 'aGVsbG8=', mask: 'aGVsbG8=' };
    const ofType = Object.fromEntries(Object.entries(images).filter(([name]) => name in fields));
    fc.assert(
      fc.property(arbitraryOptions(fields, limits), (options) => {
        const given = { prompt: '', ...options, ...ofType };
        const sent: unknown = JSON.parse(JSON.stringify(toJson(given)));
        const stored = schemas[type as keyof typeof types].parse(sent);
        expect(fromJson(generationFields, JSON.parse(JSON.stringify(stored)))).toEqual(given);
      }),
      { numRuns: 100 },
    );
  });
});

describe('options of the command line', () => {
  /** Returns one argument per flag, with the value after a `=`, so that a value may begin with a dash. */
  function argumentsOf(fields: Fields, options: Record<string, unknown>, prefix = ''): string[] {
    return entriesOf(fields).flatMap(([name, field]): string[] => {
      const value = options[name];
      if (value === undefined) return [];
      if (field.kind === 'object') {
        const inner = argumentsOf(field.fields, value as Record<string, unknown>, field.flag.prefix);
        return field.flag.itself ? [`--${field.flag.prefix}`, ...inner] : inner;
      }
      const flags = flagsOf(name, field, prefix);
      if (field.kind === 'boolean') {
        const wanted = flags.find((flag) => flag.name.startsWith('--no-') !== value);
        return wanted ? [wanted.name] : [];
      }
      const size = value as { readonly width: number; readonly height: number };
      const text = field.kind === 'size' ? `${size.width}x${size.height}` : String(value);
      return flags.map((flag) => `${flag.name}=${field.kind === 'choice' ? dashed(text) : text}`);
    });
  }

  /** Drops what no flag can express: defaults of booleans and an empty `deepCache`. */
  function expressible(fields: Fields, options: Record<string, unknown>): Record<string, unknown> {
    const kept = entriesOf(fields).flatMap(([name, field]): [string, unknown][] => {
      const value = options[name];
      if (value === undefined || (field.kind === 'boolean' && value === field.default)) return [];
      if (field.kind !== 'object') return [[name, value]];
      const inner = expressible(field.fields, value as Record<string, unknown>);
      return Object.keys(inner).length === 0 && !field.flag.itself ? [] : [[name, inner]];
    });
    return Object.fromEntries(kept);
  }

  it('are restored from its arguments', () => {
    fc.assert(
      fc.property(arbitraryOptions(generationFields), ({ prompt, ...options }) => {
        const command = new Command('generate').argument('[prompt]').exitOverride();
        addGenerateOptions(command);
        const flags = argumentsOf(generationFields, options);
        command.parse([...flags, ...(prompt === undefined ? [] : ['--', String(prompt)])], { from: 'user' });
        const wanted = expressible(generationFields, { prompt, ...options });
        expect(toGenerateOptions(command.args[0], command.opts())).toEqual(wanted);
      }),
      { numRuns: 100 },
    );
  });
});
