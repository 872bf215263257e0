import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { starterModel } from '../../../lib/checkpoint/open.js';
import { Checkpoints } from '../../../lib/server/a1111/checkpoints.js';
import { WebUIApi } from '../../support/server/a1111-client.js';
import { startServer, type TestServer } from '../../support/server/test-server.js';

interface Named {
  readonly name: string;
  readonly path: string;
  readonly file?: string;
}

const of = (...models: readonly Named[]) =>
  new Checkpoints({
    models: models.map((model) => ({ ...model, kind: 'diffusion' as const })),
    defaultModel: models[0]!.name,
  });

const inFolder = (file: string): Named => ({
  ...{ name: file.replace(/\.\w+$/, ''), path: `/models/${file}`, file },
});

describe('a checkpoint in a subfolder', () => {
  const spellings = [
    'sub/Name.safetensors',
    'sub/Name.safetensors [0a1b2c3d4e]',
    'sub\\Name.safetensors [0a1b2c3d4e]',
    '\\sub\\Name.safetensors',
    './sub/Name.safetensors',
    'sub/Name',
    'SUB\\NAME',
    'Name.safetensors',
    'Name.safetensors [0A1B2C3D4E]',
    'name',
    'name [0a1b2c3d4e]',
    ' Name ',
    '/models/sub/Name.safetensors',
  ];

  it.each(spellings)('is found by %j', (spelling) => {
    const models = [inFolder('other.safetensors'), inFolder('sub/Name.safetensors')];
    expect(of(...models).find(spelling)).toBe('sub/Name');
    // The same without the path below the folder, as for models that are listed individually.
    const named = models.map(({ name, path }) => ({ name, path }));
    expect(of(...named).find(spelling)).toBe('sub/Name');
  });

  it('is listed by a title that finds it again, whatever its name', () => {
    const models = [
      inFolder('sub/Name.safetensors'),
      inFolder('sub/name.safetensors'),
      inFolder('Name.safetensors'),
      { name: 'Name.gguf', path: '/models/Name.gguf', file: 'Name.gguf' },
      { name: 'odd [abc]', path: '/elsewhere/odd.ckpt' },
      { name: 'folder', path: '/elsewhere/starter' },
      { name: 'x.safetensors', path: '/elsewhere/x.safetensors' },
    ];
    const checkpoints = of(...models);
    const titles = checkpoints.list().map(({ title }) => title);
    expect(titles).toEqual([
      ...['sub/Name.safetensors', 'sub/name.safetensors', 'Name.safetensors', 'Name.gguf'],
      ...['odd [abc].ckpt', 'folder', 'x.safetensors'],
    ]);
    expect(titles.map((title) => checkpoints.find(title))).toEqual(models.map(({ name }) => name));
    expect(titles.map((title) => checkpoints.find(`${title} [0123456789]`))).toEqual(
      models.map(({ name }) => name),
    );
  });
});

describe('an ambiguous name', () => {
  const checkpoints = of(inFolder('a/same.safetensors'), inFolder('b/same.safetensors'));

  it.each(['same', 'same.safetensors', 'SAME [0123456789]'])('is rejected with both titles: %j', (name) => {
    expect(() => checkpoints.find(name)).toThrow(
      expect.objectContaining({
        statusCode: 422,
        message: expect.stringContaining(
          'stands for several checkpoints: a/same.safetensors, b/same.safetensors',
        ),
      }),
    );
  });

  it('resolves to the checkpoint with exactly that name', () => {
    const several = of(
      inFolder('a/same.safetensors'),
      inFolder('same.safetensors'),
      inFolder('b/same.safetensors'),
    );
    expect(several.find('same')).toBe('same');
    expect(several.find('Same.safetensors')).toBe('same');
    expect(of(inFolder('Case.ckpt'), inFolder('case.ckpt')).find('case')).toBe('case');
    expect(() => of(inFolder('Case.ckpt'), inFolder('case.ckpt')).find('CASE')).toThrow(/several/);
  });
});

describe('an unknown checkpoint', () => {
  const checkpoints = of(
    inFolder('v1-5-pruned-emaonly.safetensors'),
    inFolder('sub/dreamshaper_8.safetensors'),
    inFolder('other.gguf'),
  );

  it.each([
    ['dreamshaper', 'Did you mean sub/dreamshaper_8.safetensors?'],
    ['v1-5-pruned.safetensors [abcdef]', 'Did you mean v1-5-pruned-emaonly.safetensors?'],
    ['nothing like it', 'There are: '],
    ['', 'There are: '],
    ['sub', 'There are: '],
    ['sub/', 'There are: '],
    ['other/dreamshaper_8', 'There are: '],
    ['[0123456789]', 'There are: '],
    ['../sub/dreamshaper_8', 'There are: '],
  ])('%j is rejected with a list of checkpoints', (name, said) => {
    expect(() => checkpoints.find(name, 'field')).toThrow(
      expect.objectContaining({ statusCode: 422, message: expect.stringContaining(said) }),
    );
    expect(() => checkpoints.find(name, 'field')).toThrow(/^field: .*other\.gguf/);
  });

  it('causes a message with a limited number of titles', () => {
    const many = of(...Array.from({ length: 500 }, (_, i) => inFolder(`${i}.safetensors`)));
    expect(() => many.find('x'.repeat(5000))).toThrow(/and 480 more/);
    try {
      many.find('x'.repeat(5000));
    } catch (error) {
      expect((error as Error).message.length).toBeLessThan(1000);
    }
  });
});

describe('a server with several checkpoints', () => {
  let server: TestServer;
  let api: WebUIApi;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'safelight-models-'));
    await cp(starterModel, join(folder, 'second'), { recursive: true });
    server = await startServer({ model: [`one=${starterModel}`, `sub/two=${join(folder, 'second')}`] });
    api = new WebUIApi(server.url);
  });
  afterAll(async () => {
    await server.end();
    await rm(folder, { recursive: true, force: true });
  });

  it('lists titles that can be set, are reported and are used', async () => {
    const { body: models } = await api.get<{ title: string; model_name: string }[]>('sd-models');
    for (const { title, model_name } of models) {
      expect(await api.post('options', { sd_model_checkpoint: `${title} [0123456789]` })).toMatchObject({
        ...{ status: 200, body: null },
      });
      expect((await api.get('options')).body.sd_model_checkpoint).toBe(title);
      const made = await api.txt2img({ steps: 1, width: 32, height: 32 });
      expect(JSON.parse(made.info).sd_model_name).toBe(model_name);
    }
    expect(models.map(({ model_name }) => model_name)).toEqual(expect.arrayContaining(['one', 'sub/two']));
  });

  it.each(['sub\\two', 'two', 'second', 'TWO [0123456789]'])('accepts %j for one request', async (name) => {
    const made = await api.txt2img({
      ...{ steps: 1, width: 32, height: 32 },
      override_settings: { sd_model_checkpoint: name },
    });
    expect(JSON.parse(made.info).sd_model_name).toBe('sub/two');
  });

  it.each(['none such', 'three.safetensors [0123456789]', 5, {}, [], true])(
    'responds to %j with 422 in a request and among the options, and changes nothing',
    async (name) => {
      const before = (await api.get('options')).body;
      const jobs = (await server.queue.list()).length;
      const sent = { prompt: 'x', steps: 1, override_settings: { sd_model_checkpoint: name } };
      for (const path of ['txt2img', 'img2img']) {
        const refused = await api.post<{ detail: string }>(path, { ...sent, init_images: ['AAAA'] });
        expect(refused.status).toBe(422);
        expect(refused.body.detail).toContain('override_settings.sd_model_checkpoint');
      }
      const refused = await api.post<{ detail: string }>('options', {
        sd_model_checkpoint: name,
        s_churn: 3,
      });
      expect(refused).toMatchObject({ status: 422, body: { detail: expect.stringContaining('sd_model_') } });
      expect((await api.get('options')).body).toEqual(before);
      expect((await server.queue.list()).length).toBe(jobs);
    },
  );
});
