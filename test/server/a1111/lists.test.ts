import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { starterModel } from '../../../lib/checkpoint/open.js';
import { encodePng, readPngText } from '../../../lib/image/png.js';
import { WebUIApi } from '../../support/server/a1111-client.js';
import { startServer, type TestServer } from '../../support/server/test-server.js';

const KEY = 'secret';
const basic = { authorization: `Basic ${Buffer.from(`anybody:${KEY}`).toString('base64')}` };
const model = ['first', 'second'].map((name) => `${name}=${starterModel}`);

let data: string;
let server: TestServer;
let api: WebUIApi;
beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), 'safelight-a1111-'));
  server = await startServer({ 'api-key': KEY, model, starter: false, data });
  api = new WebUIApi(server.url, basic);
});
afterAll(() => server.end());

describe('lists with the fields that clients read', () => {
  it.each([
    ['sd-models', ['title', 'model_name', 'hash', 'sha256', 'filename', 'config'], 2],
    ['samplers', ['name', 'aliases', 'options'], 15],
    ['schedulers', ['name', 'label', 'aliases', 'default_rho', 'need_inner_model'], 12],
    ['upscalers', ['name', 'model_name', 'model_path', 'model_url', 'scale'], 3],
    ['latent-upscale-modes', ['name'], 6],
    ['sd-vae', [], 0],
    ['loras', [], 0],
    ['hypernetworks', [], 0],
    ['face-restorers', [], 0],
    ['realesrgan-models', [], 0],
    ['script-info', [], 0],
    ['extensions', [], 0],
  ])('are returned by %s', async (path, fields, least) => {
    const { status, body } = await api.get<Record<string, unknown>[]>(path);
    expect(status).toBe(200);
    expect(body.length).toBeGreaterThanOrEqual(least);
    for (const entry of body) expect(Object.keys(entry)).toEqual(fields);
  });

  it.each([
    ['scripts', { txt2img: [], img2img: [] }],
    ['embeddings', { loaded: {}, skipped: {} }],
    ['cmd-flags', expect.objectContaining({ api: true })],
    [
      'memory',
      {
        ram: { free: expect.any(Number), used: expect.any(Number), total: expect.any(Number) },
        cuda: { error: 'unavailable' },
      },
    ],
  ])('are returned by %s', async (path, expected) => {
    expect((await api.get(path)).body).toEqual(expected);
  });

  it('contain samplers and schedules that can be requested by each of their names', async () => {
    const { samplerNamed, scheduleNamed } = await import('../../../lib/server/a1111/samplers.js');
    const samplers = (await api.get<{ name: string; aliases: string[] }[]>('samplers')).body;
    for (const { name, aliases } of samplers) {
      for (const each of [name, name.toLowerCase(), ...aliases])
        expect(samplerNamed('x', each).sampler.label).toBe(name);
    }
    const schedules = (await api.get<{ name: string; label: string }[]>('schedulers')).body;
    const { sampler } = samplerNamed('x', 'Euler');
    for (const { name, label } of schedules)
      expect(scheduleNamed('x', name, sampler)).toBe(scheduleNamed('x', label, sampler));
  });

  it.each(['refresh-checkpoints', 'refresh-vae', 'refresh-loras', 'refresh-embeddings'])(
    'can be refreshed by %s',
    async (path) => {
      expect(await api.post(path)).toMatchObject({ status: 200, body: null });
    },
  );

  it("are joined by ping; unknown paths respond with 404 and unsupported features with 422, in A1111's format", async () => {
    const ping = await fetch(`${server.url}/internal/ping`, { headers: basic });
    expect([ping.status, await ping.json()]).toEqual([200, {}]);
    const form = { error: 'HTTPException', body: '', errors: expect.any(String) };
    expect(await api.get('artists')).toMatchObject({ status: 404, body: form });
    expect(await api.post('interrogate', { image: '', model: 'clip' })).toMatchObject({
      status: 422,
      body: { ...form, detail: expect.stringContaining('not supported') },
    });
  });

  it('require the key as the password of any user or as a token', async () => {
    const stranger = await new WebUIApi(server.url).get('options');
    expect(stranger.status).toBe(401);
    expect(stranger.headers.get('www-authenticate')).toMatch(/^Basic/);
    expect(stranger.body).toHaveProperty('detail');
    const token = new WebUIApi(server.url, { authorization: `Bearer ${KEY}` });
    expect((await token.get('options')).status).toBe(200);
  });
});

describe('options', () => {
  it("change in Open WebUI's way: all are posted with one changed, and the model is loaded when the response arrives", async () => {
    const { body: options } = await api.get('options');
    expect(options.sd_model_checkpoint).toBe('first');
    const { body: models } = await api.get<{ title: string; model_name: string }[]>('sd-models');
    expect(models.map(({ title }) => title)).toEqual(['first', 'second']);
    expect((await api.post('options', { ...options, sd_model_checkpoint: 'second' })).body).toBeNull();
    expect((await api.get('options')).body).toEqual({ ...options, sd_model_checkpoint: 'second' });
    // SillyTavern's way: it polls until nothing is left to do.
    const { body } = await api.get<{ progress: number; state: { job_count: number } }>('progress');
    expect([body.progress, body.state.job_count]).toEqual([0, 0]);
    const made = await api.txt2img({
      override_settings: { CLIP_stop_at_last_layers: 1, sd_vae: 'Automatic' },
      ...{ url: 'http://localhost', auth: '', steps: 1 },
    });
    expect(JSON.parse(made.info).sd_model_name).toBe('second');
  });

  it('apply to one request only, unless it keeps them', async () => {
    const once = {
      steps: 1,
      send_images: false,
      override_settings: { sd_model_checkpoint: 'first [0123abcd]' },
    };
    expect(JSON.parse((await api.txt2img(once)).info).sd_model_name).toBe('first');
    expect((await api.get('options')).body.sd_model_checkpoint).toBe('second');
    await api.txt2img({ ...once, override_settings_restore_afterwards: false });
    expect((await api.get('options')).body.sd_model_checkpoint).toBe('first');
  });

  it('survive a restart, and invalid values change nothing', async () => {
    const next = { eta_noise_seed_delta: 31337, unknown_option: 1, show_progress_every_n_steps: 3 };
    expect((await api.post('options', next)).status).toBe(200);
    for (const [wrong, status] of [
      [{ CLIP_stop_at_last_layers: 0 }, 422],
      [{ randn_source: 'dice' }, 422],
      [{ token_merging_ratio: 1.5 }, 422],
      [{ sd_model_checkpoint: '../../etc/passwd' }, 422],
    ] as const)
      expect((await api.post('options', { s_churn: 2, ...wrong })).status).toBe(status);
    await server.close();
    server = await startServer({ 'api-key': KEY, model, starter: false, data });
    api = new WebUIApi(server.url, basic);
    expect((await api.get('options')).body).toMatchObject({
      ...{ eta_noise_seed_delta: 31337, s_churn: 0, sd_model_checkpoint: 'first' },
      show_progress_every_n_steps: 3,
    });
    expect((await api.get('options')).body).not.toHaveProperty('unknown_option');
  });

  it('include styles of a styles.csv, which are applied to prompts', async () => {
    expect((await api.get('prompt-styles')).body).toEqual([]);
    const rows = [
      'name,prompt,negative_prompt',
      'ink,"{prompt}, drawn in ""ink""","colour, blur"',
      'old,faded,',
    ];
    await writeFile(join(data, 'styles.csv'), `\uFEFF${rows.join('\r\n')}\r\n`);
    expect((await api.get('prompt-styles')).body).toEqual([
      { name: 'ink', prompt: '{prompt}, drawn in "ink"', negative_prompt: 'colour, blur' },
      { name: 'old', prompt: 'faded', negative_prompt: '' },
    ]);
    const made = await api.txt2img({ styles: ['ink', 'old'], negative_prompt: 'x', steps: 1 });
    expect(JSON.parse(made.info)).toMatchObject({
      ...{ prompt: 'a red apple, drawn in "ink", faded', negative_prompt: 'x, colour, blur' },
      styles: ['ink', 'old'],
    });
    await expect(api.txt2img({ styles: ['none such'] })).rejects.toThrow(/422 styles/);
  });

  it('include unloading and loading a checkpoint', async () => {
    expect((await api.post('reload-checkpoint')).body).toEqual({});
    expect((await api.post('unload-checkpoint')).body).toEqual({});
  });
});

describe('images', () => {
  const TEXT =
    'a pear, gold\nNegative prompt: blurry\nSteps: 4, Sampler: Euler a, CFG scale: 5, Seed: 7, Size: 64x96';
  const pixels = Uint8Array.from({ length: 40 * 24 * 3 }, (_, i) => (i * 7) % 256);
  const png = () => encodePng({ data: pixels, width: 40, height: 24 }, { parameters: TEXT, other: 'x' });
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

  it('return their parameters through png-info', async () => {
    const { body } = await api.post('png-info', { image: `data:image/png;base64,${base64(await png())}` });
    expect(body).toMatchObject({
      ...{ info: TEXT, items: { other: 'x' } },
      parameters: {
        ...{ Prompt: 'a pear, gold', 'Negative prompt': 'blurry', Steps: '4', Sampler: 'Euler a' },
        ...{ 'CFG scale': '5', Seed: '7', 'Size-1': '64', 'Size-2': '96', 'Clip skip': '1' },
      },
    });
    const bare = await sharp(pixels, { raw: { width: 40, height: 24, channels: 3 } })
      .webp()
      .toBuffer();
    expect((await api.post('png-info', { image: base64(bare) })).body).toMatchObject({ info: '', items: {} });
    for (const image of ['AAAA', 'x', '']) expect((await api.post('png-info', { image })).status).toBe(400);
  });

  it('return their parameters from a JPEG as A1111 writes it', async () => {
    const jpeg = await sharp(pixels, { raw: { width: 40, height: 24, channels: 3 } })
      .jpeg()
      .toBuffer();
    const comment = Buffer.concat([
      Buffer.from('UNICODE\0'),
      Buffer.from(`${TEXT} é`, 'utf16le').swap16(), // big-endian
    ]);
    const { body } = await api.post('png-info', { image: base64(withExif(jpeg, comment)) });
    expect(body.info).toBe(`${TEXT} é`);
  });

  it('are upscaled by a factor or to a size, cropped or not, and keep their text', async () => {
    const image = base64(await png());
    const enlarge = async (fields: object) => {
      const { status, body } = await api.post<{ image: string; html_info: string; detail: string }>(
        'extra-single-image',
        { upscaler_1: 'Lanczos', ...fields, image },
      );
      if (status !== 200) return { status, detail: body.detail };
      const bytes = Buffer.from(body.image, 'base64');
      const { width, height } = await sharp(bytes).metadata();
      return { size: [width, height], text: readPngText(bytes), html: body.html_info, bytes };
    };
    const doubled = await enlarge({});
    expect(doubled).toMatchObject({ size: [80, 48], text: { parameters: TEXT } });
    expect(doubled.html).toContain('Postprocess upscale by: 2, Postprocess upscaler: Lanczos');
    const size = { resize_mode: 1, upscaling_resize_w: 64, upscaling_resize_h: 64, upscaler_1: 'Nearest' };
    expect((await enlarge(size)).size).toEqual([64, 64]);
    expect((await enlarge({ ...size, upscaling_crop: false })).size).toEqual([104, 64]);
    const mixed = await enlarge({ upscaler_2: 'Nearest', extras_upscaler_2_visibility: 0.5 });
    expect(mixed.bytes!.equals(doubled.bytes!)).toBe(false);
    expect((await enlarge({ upscaler_1: 'None' })).size).toEqual([40, 24]);
    expect(await enlarge({ upscaler_1: 'R-ESRGAN 4x+' })).toMatchObject({ status: 422 });
    expect(await enlarge({ gfpgan_visibility: 1 })).toMatchObject({ status: 422 });
    expect(await enlarge({ upscaling_resize: 100, upscaler_1: 'Lanczos' })).toMatchObject({
      size: [4000, 2400],
    });
    expect(await enlarge({ resize_mode: 1, upscaling_resize_w: 65_000 })).toMatchObject({ status: 422 });
    const imageList = [{ data: image, name: 'a.png' }, { data: image }];
    const { body } = await api.post<{ images: string[] }>('extra-batch-images', {
      upscaler_1: 'Nearest',
      imageList,
    });
    expect(body.images).toHaveLength(2);
  });
});

/** A JPEG with an EXIF block that contains only a comment. */
function withExif(jpeg: Buffer, comment: Buffer): Buffer {
  const tiff = Buffer.alloc(44);
  tiff.write('MM\0*', 'latin1');
  tiff.writeUInt32BE(8, 4);
  const entry = (at: number, tag: number, type: number, count: number, value: number): void => {
    tiff.writeUInt16BE(1, at); // entries
    tiff.writeUInt16BE(tag, at + 2);
    tiff.writeUInt16BE(type, at + 4);
    tiff.writeUInt32BE(count, at + 6);
    tiff.writeUInt32BE(value, at + 10);
  };
  entry(8, 0x8769, 4, 1, 26);
  entry(26, 0x9286, 7, comment.length, 44);
  const body = Buffer.concat([Buffer.from('Exif\0\0'), tiff, comment]);
  const head = Buffer.from([0xff, 0xe1, 0, 0]);
  head.writeUInt16BE(body.length + 2, 2);
  return Buffer.concat([jpeg.subarray(0, 2), head, body, jpeg.subarray(2)]);
}
