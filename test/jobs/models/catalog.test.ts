/**
 * Models of a folder and bundled models: which are offered, under which names, and how problems with the rest
 * are reported.
 */
import {
  chmodSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { starterModel } from '../../../lib/checkpoint/open.js';
import { openModel } from '../../../lib/families/registry.js';
import { sketchStarter } from '../../../lib/families/shared/vqgan/vqgan-defaults.js';
import { listModels, locateModel, removeModel } from '../../../lib/hub/index.js';
import { Catalog } from '../../../lib/jobs/models/catalog.js';
import { configuredModels, type ModelProblem } from '../../../lib/jobs/models/configured.js';
import { defaultLimits } from '../../../lib/jobs/schemas.js';
import { convertModel } from '../../../lib/tools/convert.js';
import { inspectModel } from '../../../lib/tools/inspect.js';
import { writeSparse } from '../../support/checkpoint/sparse-files.js';
import { scratch } from '../../support/vqgan/autoencoders.js';
import { writeTransformerCheckpoint } from '../../support/vqgan/checkpoint.js';

const root = scratch();
const folder = join(root, 'models');
const at = (...parts: string[]): string => {
  const path = join(folder, ...parts);
  mkdirSync(dirname(path), { recursive: true });
  return path;
};
const lora = { 'lora_unet_mid_block.lora_down.weight': { dtype: 'F16', shape: [4, 320] } };
const vae = { 'encoder.conv_in.weight': { dtype: 'F16', shape: [128, 3, 3, 3] } };
const bundled = ['starter', 'sketch'];
const problems: ModelProblem[] = [];
let found: Awaited<ReturnType<typeof configuredModels>>;

beforeAll(async () => {
  const gguf = at('whole.gguf');
  await convertModel(starterModel, gguf);
  linkSync(gguf, at('sub', 'deep', 'SD 1.5 v2.gguf'));
  linkSync(gguf, at('starter.gguf'));
  linkSync(gguf, at('.hidden', 'secret.gguf'));
  linkSync(gguf, at('.git', 'objects', 'x.gguf'));
  symlinkSync(gguf, at('sub', 'linked.GGUF'));
  symlinkSync(starterModel, at('diffusers', 'tiny'));
  symlinkSync(folder, at('sub', 'loop'));
  symlinkSync(join(root, 'nowhere.safetensors'), at('dangling.safetensors'));
  writeFileSync(at('._whole.gguf'), 'AppleDouble');
  writeFileSync(at('empty.safetensors'), '');
  writeFileSync(at('broken.safetensors'), 'no header at all');
  copyFileSync(gguf, at('half.gguf'));
  truncateSync(at('half.gguf'), 5000);
  writeFileSync(at('notes.txt'), 'nothing');
  writeFileSync(at('config-alone', 'config.json'), '{"_class_name":"VQModel"}');
  await writeSparse(at('loras', 'style.safetensors'), lora);
  await writeSparse(at('vae', 'vae-ft-mse.safetensors'), vae);
  await writeSparse(at('embeddings', 'bad-hands.safetensors'), {
    emb_params: { dtype: 'F32', shape: [2, 768] },
  });
  await writeSparse(at('upscalers', 'x4.pth'), { 'model.0.weight': { dtype: 'F32', shape: [64, 3, 3, 3] } });
  writeTransformerCheckpoint(at('vqgan'), 32, { cond_stage_config: '__is_first_stage__' });
  found = await configuredModels({ models: folder, onProblem: (problem) => problems.push(problem) });
}, 60_000);

describe('a folder of models', () => {
  it('is searched recursively, through links and without cycles; names are relative paths', () => {
    expect(found.map(({ name }) => name)).toEqual([
      ...['diffusers/tiny', 'starter.gguf', 'sub/deep/SD 1.5 v2', 'sub/linked', 'vqgan', 'whole'],
      ...bundled,
    ]);
    const file = (name: string) => found.find((model) => model.name === name)?.file;
    expect(file('sub/deep/SD 1.5 v2')).toBe('sub/deep/SD 1.5 v2.gguf');
    expect(file('diffusers/tiny')).toBe('diffusers/tiny');
    expect(file('vqgan')).toMatch(/^vqgan\/.+\./);
    expect(found.find(({ name }) => name === 'vqgan')?.kind).toBe('codes');
  });

  it('reports each model that it leaves out and why, and ignores hidden files and folders of adapters', () => {
    const reasons = Object.fromEntries(problems.map(({ model, reason }) => [model, reason]));
    expect(reasons).toEqual({
      'broken.safetensors': expect.any(String),
      'dangling.safetensors': expect.stringContaining('link'),
      'empty.safetensors': expect.stringContaining('empty'),
      'half.gguf': expect.any(String),
      'vae/vae-ft-mse.safetensors': expect.any(String),
    });
    expect(problems.every(({ offered }) => !offered)).toBe(true);
  });

  const isRoot = process.getuid?.() === 0;
  it.skipIf(isRoot)(
    `leaves out a folder without read permission${isRoot ? ': root may read all folders' : ''}`,
    async () => {
      const closed = at('closed', 'x.gguf');
      writeFileSync(closed, 'x');
      chmodSync(dirname(closed), 0);
      const reported: string[] = [];
      await configuredModels({ models: folder, onProblem: ({ model }) => reported.push(model) });
      chmodSync(dirname(closed), 0o700);
      expect(reported).toContain('closed');
    },
  );

  it('is offered as one model if it is a model itself', async () => {
    const models = await configuredModels({ models: join(folder, 'diffusers', 'tiny'), starter: false });
    expect(models.map(({ name, file }) => [name, file])).toEqual([['tiny', 'tiny']]);
  });

  it('offers a model once that is also given by path', async () => {
    const models = await configuredModels({
      models: folder,
      model: [`mine=${at('whole.gguf')}`],
      starter: false,
    });
    expect(models.map(({ name }) => name)).toEqual([
      ...['mine', 'diffusers/tiny', 'starter', 'sub/deep/SD 1.5 v2', 'sub/linked', 'vqgan'],
    ]);
  });

  it('is rejected if it cannot be read or contains no usable model', async () => {
    const failing = (options: object) => configuredModels(options).catch((error: unknown) => error);
    expect(await failing({ models: join(root, 'none') })).toMatchObject({ code: 'FILE_NOT_FOUND' });
    const nothing = await failing({ models: at('loras'), starter: false });
    expect(nothing).toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('--no-starter'),
    });
  });

  it('is listed by `safelight models`, which removes a model by an unambiguous name', async () => {
    const env = { SAFELIGHT_MODELS: '', XDG_DATA_HOME: join(root, 'share'), HF_HOME: join(root, 'hf') };
    const own = join(root, 'share', 'safelight', 'models');
    for (const name of ['a/same.gguf', 'b/same.gguf', 'c/alone.gguf', '._x.gguf']) {
      mkdirSync(dirname(join(own, name)), { recursive: true });
      linkSync(at('whole.gguf'), join(own, name));
    }
    expect((await listModels(env)).map(({ name }) => name)).toEqual(['a/same', 'b/same', 'alone']);
    expect(await locateModel('b/same', env)).toBe(join(own, 'b/same.gguf'));
    expect(await locateModel('alone', env)).toBe(join(own, 'c/alone.gguf'));
    await expect(removeModel('same', env)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await removeModel('a/same', env);
    await removeModel('same', env);
    expect((await listModels(env)).map(({ name }) => name)).toEqual(['alone']);
  });
});

describe('bundled models', () => {
  const names = async (options: Parameters<typeof configuredModels>[0]) =>
    (await configuredModels(options)).map(({ name }) => name);

  it('remain the last choice next to other models unless they are left out', async () => {
    const model = [`mine=${starterModel}`];
    expect(await names({ model })).toEqual(['mine', ...bundled]);
    expect(await names({ model, starter: false })).toEqual(['mine']);
    expect(await names({ model: ['starter'], starter: false })).toEqual(['starter']);
    expect(await names({ model: ['sketch', `starter=${at('whole.gguf')}`] })).toEqual(['sketch', 'starter']);
    await expect(names({ starter: false })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });

  it('are not the default if a model is given, even one that cannot be read', async () => {
    const models = await configuredModels({
      model: [`mine=${at('broken.safetensors')}`],
      onProblem: () => undefined,
    });
    const catalog = await Catalog.open(models, { backend: 'cpu' }, defaultLimits);
    expect(catalog.defaultModel).toBe('mine');
    expect(catalog.ofKind('diffusion').map(({ name }) => name)).toEqual(['mine', 'starter']);
  });

  it('are found by name whatever the working directory contains', async () => {
    const before = process.cwd();
    const work = join(root, 'work');
    mkdirSync(join(work, 'starter'), { recursive: true });
    linkSync(at('whole.gguf'), join(work, 'sketch'));
    process.chdir(work);
    try {
      expect(await locateModel('starter')).toBe(starterModel);
      expect(await locateModel('sketch')).toBe(sketchStarter);
      expect((await openModel('starter')).path).toBe(starterModel);
      expect((await inspectModel('starter')).family).toBe('sd1');
      expect((await openModel('./sketch')).form).toBe('file');
      const [first] = await configuredModels({ model: ['mine=starter'] });
      expect(first).toMatchObject({ name: 'mine', path: starterModel });
    } finally {
      process.chdir(before);
    }
  });
});

describe('a model given by path', () => {
  it('has to exist unless workers on other machines have it', async () => {
    const model = [`gone=${join(root, 'gone.safetensors')}`];
    await expect(configuredModels({ model })).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: expect.stringMatching(/gone\.safetensors.*for the model gone/),
    });
    const reported: ModelProblem[] = [];
    const [first] = await configuredModels({ model, remote: true, onProblem: (one) => reported.push(one) });
    expect(first?.name).toBe('gone');
    expect(reported).toMatchObject([{ model: 'gone', code: 'FILE_NOT_FOUND', offered: true }]);
  });

  it('is offered with a problem by name if it is damaged', async () => {
    const reported: ModelProblem[] = [];
    const path = at('half.gguf');
    const [first] = await configuredModels({ model: [path], onProblem: (one) => reported.push(one) });
    expect(first?.name).toBe(basename(path, '.gguf'));
    expect(reported).toMatchObject([{ model: 'half', code: 'INVALID_FILE', offered: true }]);
  });
});
