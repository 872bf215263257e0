import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { openModel } from '../../../lib/families/registry.js';
import type { DenoiseOptions } from '../../../lib/pipelines/diffusion/denoise-stage.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../../lib/pipelines/options.js';
import { inspectModel } from '../../../lib/tools/inspect.js';
import {
  caseNamed,
  expectedOf,
  generateOptions,
  tensorsOfCase,
  writeCheckpoint,
} from '../../support/latent-diffusion.js';
import { relativeError } from '../../support/pipeline-cases.js';

const root = mkdtempSync(join(tmpdir(), 'safelight-ldm-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let written = 0;
const folder = () => join(root, `${written++}`);

const pipelines: Record<string, Pipeline> = {};
beforeAll(async () => {
  for (const name of ['class', 'faces', 'labels'])
    pipelines[name] = await Pipeline.load(writeCheckpoint(caseNamed(name), folder()), {
      storage: 'f32',
      threads: 1,
    });
});
afterAll(async () => {
  for (const pipeline of Object.values(pipelines)) await pipeline.dispose();
});

describe('options of latent diffusion models', () => {
  it.each([
    ['class', {}, /class from 0 to 4.*class/],
    ['class', { class: 5 }, /class from 0 to 4/],
    ['class', { class: 1.5 }, /integer.*class/],
    ['class', { class: 0, prompt: 'a fox' }, /reads no text.*leave out prompt/],
    ['class', { class: 0, negative: 'a dog' }, /leave out negative/],
    ['faces', { prompt: 'a fox' }, /reads no text/],
    ['faces', { class: 1 }, /knows no classes/],
    ['labels', { class: 1, cfg: 3 }, /no class that stands for none/],
  ] as [string, GenerateOptions, RegExp][])(
    'rejects for the model "%s" the options %j',
    async (name, options, sentence) => {
      await expect(pipelines[name]!.generate({ steps: 5, ...options })).rejects.toMatchObject({
        code: 'INVALID_OPTION',
        message: expect.stringMatching(sentence),
      });
    },
  );

  it('accepts an empty prompt for a model without a text encoder', async () => {
    const one = caseNamed('faces');
    const { images } = await pipelines.faces!.generate({ ...generateOptions(one), prompt: '', cfg: 7 });
    const { latent } = await expectedOf(one);
    expect(relativeError(images[0]!.latent.data, latent.at(0).data)).toBeLessThan(1e-3);
    expect(images[0]!.parameters).not.toMatch(/Class/);
  });

  it('rejects encoding a text', async () => {
    await expect(pipelines.class!.encodeText('a fox')).rejects.toMatchObject({ code: 'UNSUPPORTED_MODEL' });
  });
});

describe('class-conditional generation', () => {
  it('returns the same image stage by stage as in one call', async () => {
    const one = caseNamed('class');
    const latent = await pipelines.class!.denoise(generateOptions(one) as object as DenoiseOptions);
    expect(relativeError(latent.data, (await expectedOf(one)).latent.data)).toBeLessThan(1e-3);
    const [image] = await pipelines.class!.decode(latent.slice([0, 1]));
    expect([image!.width, image!.height]).toEqual([32, 32]);
  });

  it('changes the image, is written into its parameters and streams steps', async () => {
    const options = { class: 1, steps: 5, seed: 1, sampler: 'ddim' };
    const stream = pipelines.class!.stream(options);
    let steps = 0;
    for await (const step of stream) {
      steps++;
      expect((await step.preview()).width).toBe(32);
    }
    const { images } = await stream.result;
    expect(steps).toBe(5);
    expect(images[0]!.parameters).toMatch(/Class: 1/);
    const other = await pipelines.class!.generate({ ...options, class: 3 });
    expect(relativeError(other.images[0]!.latent.data, images[0]!.latent.data)).toBeGreaterThan(0.05);
  });
});

describe('a checkpoint of latent diffusion', () => {
  it('is recognized by its YAML, next to it or given as an option, and its absence is reported', async () => {
    const one = caseNamed('class');
    const path = writeCheckpoint(one, folder());
    rmSync(path.replace(/safetensors$/, 'yaml'));
    await expect(openModel(path)).rejects.toMatchObject({
      code: 'UNSUPPORTED_MODEL',
      message: expect.stringMatching(/heads.*YAML/),
    });
    const config = join(root, 'named.yaml');
    writeFileSync(config, stringify(one.yaml));
    expect(await openModel(path, { config })).toMatchObject({
      family: 'ldm',
      condition: { kind: 'class', classes: 5, unconditional: 4 },
      scheduler: { beta_start: 0.0015, beta_end: 0.0195, beta_schedule: 'scaled_linear', prediction: 'eps' },
    });
  });

  it('uses its moving average on request', async () => {
    const one = caseNamed('faces');
    const tensors = tensorsOfCase(one);
    for (const [name, tensor] of [...tensors]) {
      if (!name.startsWith('model.')) continue;
      tensors.set(`model_ema.${name.slice('model.'.length).replaceAll('.', '')}`, tensor);
      tensors.set(name, { ...tensor, data: new Uint8Array(tensor.data.length) });
    }
    const path = writeCheckpoint(one, folder(), tensors);
    await using pipeline = await Pipeline.load(path, { ema: true, storage: 'f32', threads: 1 });
    const { images } = await pipeline.generate(generateOptions(one));
    expect(relativeError(images[0]!.latent.data, (await expectedOf(one)).latent.at(0).data)).toBeLessThan(
      1e-3,
    );
  });

  it('is inspected with family, components and the table of its classes', async () => {
    const found = await inspectModel(writeCheckpoint(caseNamed('class'), folder()));
    expect(found).toMatchObject({ form: 'file', family: 'ldm', problem: null, ignored: [] });
    expect(found.condition).toMatchObject({ kind: 'class', classes: 5 });
    expect(found.components.map(({ name, kind }) => [name, kind])).toEqual([
      ['unet', 'unet'],
      ['vqvae', 'vq_model'],
    ]);
  });
});
