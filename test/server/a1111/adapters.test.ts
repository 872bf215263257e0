/** LoRAs and embeddings in A1111's API: lists, tags in prompts and the option `sd_lora`. */
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebUIApi } from '../../support/server/a1111-client.js';
import { AdapterFolder } from '../../support/server/adapter-folder.js';
import { startServer, type TestServer } from '../../support/server/test-server.js';

const folder = new AdapterFolder();
let server: TestServer;
let api: WebUIApi;

beforeAll(async () => {
  folder.lora('loras/ink.safetensors', {
    ss_output_name: 'ink_v2',
    ss_tag_frequency: '{"10_ink": {"ink": 10}}',
    ss_seed: '{broken',
  });
  folder.lora('loras/sub/plain.safetensors');
  folder.text('loras/broken.pt', 'x');
  folder.embedding('embeddings/calm.safetensors');
  folder.text('embeddings/torn.pt', 'x');
  server = await startServer({ models: folder.path });
  api = new WebUIApi(server.url);
});
afterAll(async () => {
  await server.end();
  rmSync(folder.path, { recursive: true });
});

const SMALL = { prompt: 'a red apple', steps: 1, width: 64, height: 64, seed: 3 };
/** Returns the prompt of the generation parameters and the image. */
async function generate(fields: object): Promise<{ prompt: string; image: string; info: string }> {
  const { info, images } = await api.txt2img({ ...SMALL, ...fields });
  const { prompt, infotexts } = JSON.parse(info) as { prompt: string; infotexts: string[] };
  return { prompt, image: images[0]!, info: infotexts[0]! };
}

describe('lists', () => {
  it('contain LoRAs with alias, path and metadata, in which JSON objects are parsed', async () => {
    const { body } = await api.get<unknown>('loras');
    expect(body).toEqual([
      { name: 'broken', alias: 'broken', path: 'loras/broken.pt', metadata: {} },
      {
        ...{ name: 'ink', alias: 'ink_v2', path: 'loras/ink.safetensors' },
        metadata: expect.objectContaining({
          ...{ ss_output_name: 'ink_v2', ss_tag_frequency: { '10_ink': { ink: 10 } }, ss_seed: '{broken' },
        }),
      },
      { name: 'plain', alias: 'plain', path: 'loras/sub/plain.safetensors', metadata: { format: 'pt' } },
    ]);
  });

  it('contain embeddings by name, without those that cannot be read', async () => {
    expect((await api.get('embeddings')).body).toEqual({
      loaded: {
        calm: { step: null, sd_checkpoint: null, sd_checkpoint_name: null, shape: 192, vectors: 2 },
      },
      skipped: {},
    });
  });

  it('contain new files at once, with or without a refresh', async () => {
    folder.lora('loras/late.safetensors');
    for (const kind of ['loras', 'embeddings'])
      expect(await api.post(`refresh-${kind}`)).toMatchObject({ status: 200, body: null });
    expect(JSON.stringify((await api.get('loras')).body)).toContain('loras/late.safetensors');
  });

  it('are empty without a models folder', async () => {
    const other = await startServer();
    const bare = new WebUIApi(other.url);
    expect((await bare.get('loras')).body).toEqual([]);
    expect((await bare.get('embeddings')).body).toEqual({ loaded: {}, skipped: {} });
    await other.end();
  });
});

describe('LoRAs of requests', () => {
  it('are applied by tags, and unknown ones are ignored', async () => {
    const [plain, tagged, unknown] = [
      await generate({}),
      await generate({ prompt: 'a red apple<lora:ink:4>' }),
      await generate({ prompt: 'a red apple<lora:none such:4>' }),
    ];
    expect(tagged.image).not.toBe(plain.image);
    expect(tagged.info).toMatch(/Lora hashes: "ink: [0-9a-f]{12}"/);
    expect(unknown.prompt).toContain('none such');
  });

  it('are those of sd_lora too, with the default multiplier, unless the prompt has the tag', async () => {
    const override_settings = { sd_lora: 'ink', extra_networks_default_multiplier: 4 };
    const added = await generate({ override_settings });
    expect(added.prompt).toBe('a red apple<lora:ink:4>');
    expect(added.image).toBe((await generate({ prompt: 'a red apple<lora:ink:4>' })).image);
    const own = await generate({ prompt: 'a red apple <lora:ink:2>', override_settings });
    expect(own.prompt).toBe('a red apple <lora:ink:2>');
    for (const sd_lora of ['None', '', null])
      expect((await generate({ override_settings: { sd_lora } })).prompt).toBe('a red apple');
  });

  it('are part of the stored options, next to options that A1111 has for its page', async () => {
    const settings = { lora_functional: false, lora_preferred_name: 'Filename', lora_in_memory_limit: 2 };
    expect((await api.post('options', { ...settings, sd_lora: 'ink' })).status).toBe(200);
    expect((await api.get('options')).body).toMatchObject({
      ...{ sd_lora: 'ink', extra_networks_default_multiplier: 1 },
    });
    expect((await generate({ negative_prompt: 'blue' })).prompt).toBe('a red apple<lora:ink:1>');
    await api.post('options', { sd_lora: 'None' });
    for (const wrong of [{ sd_lora: 5 }, { sd_lora: 'a>b' }, { extra_networks_default_multiplier: 'x' }])
      expect((await api.post('options', wrong)).status).toBe(422);
  });
});
