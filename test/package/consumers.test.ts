/** Type-checks and runs programs against the packed package, in all module formats of TypeScript and Node. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { npmMissing } from './npm.js';
import { PackedProject } from './packed-project.js';

/** Uses classes as values and as types, a generic, functions, constants and types, and contains expected type errors. */
const body = `
const options: GenerateOptions = { prompt: 'a red apple', steps: 1, seed: 7 };
const latent: Tensor = new Tensor(new Float32Array(4), [1, 4, 1, 1]);
const bytes: Tensor<Uint8Array> = new Tensor(new Uint8Array(4), [4]);
class Labelled extends SafelightError {}
export async function generate(): Promise<Uint8Array[]> {
  const pipeline: Pipeline = await Pipeline.load(starterModel);
  try {
    const { images } = await pipeline.generate(options);
    return await Promise.all(images.map((image: GeneratedImage) => image.png()));
  } catch (error) {
    if (error instanceof SafelightError && error.code === 'ABORTED') return [];
    throw error;
  } finally {
    await pipeline.dispose();
  }
}
export function numbers(tensor: Tensor): number { return tensor.data.length + bytes.data.length + latent.data.length; }
const provider: SafelightProvider = createSafelight({ threads: 1 });
export const model: SafelightImageModel = provider.image('starter');
export const names: string[] = [...samplers.map(({ name }) => name), Labelled.name];
// @ts-expect-error a promise of a pipeline is not a number, so the types are not any
export const wrong: number = Pipeline.load();
// @ts-expect-error steps is a number
void ({ prompt: '', steps: 'many' } satisfies GenerateOptions);
// @ts-expect-error a tensor of bytes is not a tensor of floats
export const floats: Tensor<Float32Array> = bytes;
`;
const imports = `
import { type GenerateOptions, GeneratedImage, Pipeline, SafelightError, samplers, starterModel, Tensor } from 'safelight';
import { createSafelight, type SafelightImageModel, type SafelightProvider } from 'safelight/ai';
`;
const assigned = `
import safelight = require('safelight');
import ai = require('safelight/ai');
export async function load(): Promise<safelight.Pipeline> { return safelight.Pipeline.load(); }
export const image: ai.SafelightImageModel = ai.safelight.image('starter');
`;
/** A CommonJS module that exchanges objects with an ES module of the same project. */
const mixed = `
import { Pipeline, Tensor } from 'safelight';
export async function both(): Promise<number> {
  const esm = await import('safelight');
  const pipeline: Pipeline = await esm.Pipeline.load();
  const { numbers } = await import('./consumer.mjs');
  await pipeline.dispose();
  return numbers(new Tensor(new Float32Array(1), [1]));
}
`;
const sdk = (name: string) => `
import { createProviderRegistry, customProvider, generateImage } from '${name}';
import { createSafelight, safelight } from 'safelight/ai';
export const registry = createProviderRegistry({ safelight, mine: createSafelight({ models: { a: 'a.gguf' } }) });
export const custom = customProvider({ imageModels: { apple: safelight.image('starter') } });
export async function generate(): Promise<Uint8Array> {
  const { image } = await generateImage({ model: safelight.image('starter'), prompt: 'an apple', n: 1 });
  return image.uint8Array;
}
`;

describe.skipIf(npmMissing)('a project with the packed package', () => {
  let project: PackedProject;
  beforeAll(() => {
    project = new PackedProject();
    project.write({
      'package.json': '{ "private": true }',
      'consumer.mts': imports + body,
      'consumer.cts': imports + body,
      'consumer.ts': imports + body,
      'assigned.cts': assigned,
      'mixed.cts': mixed,
      'ai6.mts': sdk('ai-v6'),
      'ai7.mts': sdk('ai'),
      'ai6.cts': sdk('ai-v6'),
    });
  });
  afterAll(() => project?.dispose());

  it.each([
    { module: 'node16', format: 'ES', files: ['consumer.mts'] },
    {
      module: 'node16',
      format: 'CommonJS',
      files: ['consumer.cts', 'consumer.ts', 'assigned.cts', 'mixed.cts'],
    },
    { module: 'nodenext', format: 'ES', files: ['consumer.mts'] },
    {
      module: 'nodenext',
      format: 'CommonJS',
      files: ['consumer.cts', 'consumer.ts', 'assigned.cts', 'mixed.cts'],
    },
  ])('type-checks as $format modules under module $module', ({ module, files }) => {
    expect(project.typeCheck(files, '--module', module)).toBe('');
  });

  it.each(['esnext', 'preserve'])('type-checks under module %s with a bundler', (module) => {
    expect(project.typeCheck(['consumer.ts'], '--module', module, '--moduleResolution', 'bundler')).toBe('');
  });

  it('is typed as a model and a provider of AI SDK 6 and 7', () => {
    const files = ['ai6.mts', 'ai7.mts', 'ai6.cts'];
    expect(project.typeCheck(files, '--module', 'nodenext', '--skipLibCheck')).toBe('');
  });

  it('declares exactly the values that require returns', () => {
    for (const entry of ['index', 'ai/index']) {
      const script = `console.log(JSON.stringify(Object.keys(require('./node_modules/safelight/dist/${entry}.cjs'))))`;
      const names = JSON.parse(project.node(['-e', script]).stdout) as string[];
      const file = join(project.folder, `node_modules/safelight/dist/${entry}.d.cts`);
      const declared = [...readFileSync(file, 'utf8').matchAll(/^export declare const (\w+)/gm)];
      expect(declared.map(([, name]) => name).sort()).toEqual(names.sort());
    }
  });

  it('returns the same module for require and import, without a warning by Node', () => {
    const script = `
      const required = require('safelight');
      import('safelight').then(async (imported) => {
        const ai = await import('safelight/ai');
        console.log(imported.Pipeline === required.Pipeline, ai.safelight === require('safelight/ai').safelight);
      });`;
    expect(project.node(['-e', script])).toEqual({ status: 0, stdout: 'true true\n', stderr: '' });
  });

  it('is found by tools that read package.json', () => {
    const script = `console.log(require('safelight/package.json').name, require.resolve('safelight'))`;
    const { stdout } = project.node(['-e', script]);
    expect(stdout).toMatch(/^safelight .*index\.cjs\n$/);
  });
});
