/** Every name that `nodes` lists can be read: by `tap`, and for the U-Net also by `stream` and `denoise`. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { starterModel } from '../../../lib/checkpoint/open.js';
import { type ModuleName, moduleNames } from '../../../lib/families/shared/loaded-model.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../../lib/pipelines/options.js';
import { Tensor } from '../../../lib/tensor/tensor.js';
import { cases, generateOptions, writeModel } from '../../support/latent-diffusion.js';
import { type TinyModel, writeFolder } from '../../support/tiny-models.js';

const root = mkdtempSync(join(tmpdir(), 'safelight-nodes-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let pipeline: Pipeline | undefined;
afterEach(() => pipeline?.dispose());

interface Model {
  readonly name: string;
  readonly path: () => string;
  readonly options: GenerateOptions;
  readonly modules: readonly ModuleName[];
}

const TEXT = ['text_encoder', 'unet', 'encoder', 'decoder'] as const;
const families: Model[] = [
  { name: 'starter', path: () => starterModel, options: { prompt: 'a fox' }, modules: TEXT },
  ...(['sd1', 'sd2', 'sdxl', 'inpaint'] as TinyModel[]).map(
    (name): Model => ({
      name,
      path: () => writeFolder(name, join(root, name)),
      options: { prompt: 'a fox' },
      modules: name === 'sdxl' ? moduleNames : TEXT,
    }),
  ),
  ...cases.map(
    (one): Model => ({
      name: `ldm ${one.name}`,
      path: () => writeModel(one, join(root, `ldm ${one.name}`)),
      options: generateOptions(one),
      modules: one.name.startsWith('ddpm')
        ? ['unet']
        : one.name.startsWith('text')
          ? TEXT
          : ['unet', 'encoder', 'decoder'],
    }),
  ),
];

/** Reads all nodes of a module by the call that its documentation names. */
async function readAll(
  open: Pipeline,
  module: ModuleName,
  names: readonly string[],
  options: GenerateOptions,
): Promise<Record<string, Tensor>> {
  const { latentChannels, factor, width, height } = open.info;
  const found: Record<string, Tensor> = {};
  if (module === 'unet') {
    const stream = open.stream({ ...options, count: 1, steps: 1, seed: 1, taps: names });
    for await (const { taps } of stream) Object.assign(found, taps);
    return found;
  }
  const image = { data: new Uint8Array(width * height * 3).fill(90), width, height };
  const latent = Tensor.zeros([1, latentChannels, height / factor, width / factor]);
  for (let at = 0; at < names.length; at += 100) {
    const some = names.slice(at, at + 100);
    const given =
      module === 'encoder'
        ? ({ module, image } as const)
        : module === 'decoder'
          ? ({ module, latent } as const)
          : ({ module, prompt: 'a fox' } as const);
    Object.assign(found, await open.tap({ ...given, names: some }));
  }
  return found;
}

describe.each(families)('nodes of $name', ({ path, options, modules }) => {
  it('can all be read with the listed shapes', async () => {
    pipeline = await Pipeline.load(path(), { threads: 1 });
    for (const module of modules) {
      const listed = await pipeline.nodes({ module });
      expect(listed.length).toBeGreaterThan(5);
      const read = await readAll(
        pipeline,
        module,
        listed.map(({ name }) => name),
        options,
      );
      expect(Object.keys(read).sort()).toEqual(listed.map(({ name }) => name).sort());
      if (module === 'unet') continue;
      for (const { name, shape } of listed) expect([name, read[name]!.shape]).toEqual([name, shape]);
    }
  });

  it('of modules that the model lacks are rejected with a list of its modules', async () => {
    pipeline = await Pipeline.load(path(), { threads: 1, parts: [] });
    const known = `one of ${modules.join(', ')} (the modules of this model)`;
    for (const module of [...moduleNames.filter((name) => !modules.includes(name)), 'vae', undefined]) {
      const refused = { code: 'INVALID_OPTION', message: expect.stringContaining(known) };
      await expect(pipeline.nodes({ module: module as ModuleName })).rejects.toMatchObject(refused);
      await expect(pipeline.tap({ module, names: ['a'], prompt: 'a' } as never)).rejects.toMatchObject(
        refused,
      );
    }
    const unet = pipeline.tap({ module: 'unet', names: ['conv_in'] } as never);
    await expect(unet).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringMatching(/stream\(\{ taps \}\)/),
    });
  });
});
