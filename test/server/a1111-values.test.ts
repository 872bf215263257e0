import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type RunningServer, serve } from '../../lib/server/serve.js';

type Json = Record<string, unknown>;
/** A PNG of one pixel. */
const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

/** Sends a request to A1111's API of a server. */
async function send(
  server: RunningServer,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: Json }> {
  const init = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  };
  const response = await fetch(`${server.url}/sdapi/v1/${path}`, body === undefined ? {} : init);
  return { status: response.status, body: (await response.json()) as Json };
}

describe('the options of A1111', () => {
  let data: string;
  let server: RunningServer | undefined;
  beforeEach(async () => {
    data = await mkdtemp(join(tmpdir(), 'safelight-a1111-'));
  });
  afterEach(async () => {
    await server?.close();
    server = undefined;
    await rm(data, { recursive: true, force: true });
  });
  const start = async () => {
    server = await serve({ port: 0, 'log-level': 'silent', data });
    return server;
  };

  it.each([
    ['always_discard_next_to_last_sigma', 1, true],
    ['always_discard_next_to_last_sigma', 'True', true],
    ['live_previews_enable', 'false', false],
    ['live_previews_enable', 0, false],
    ['randn_source', 'gpu', 'GPU'],
    ['emphasis', 'No norm', 'No norm'],
    ['s_churn', '2.5', 2.5],
    ['CLIP_stop_at_last_layers', '2', 2],
  ])('accept %s as %j', async (name, value, stored) => {
    const running = await start();
    expect((await send(running, 'options', { [name]: value })).status).toBe(200);
    expect((await send(running, 'options')).body[name]).toBe(stored);
  });

  it.each([
    ['always_discard_next_to_last_sigma', 2],
    ['live_previews_enable', 'yes'],
    ['live_previews_enable', []],
    ['randn_source', 'dice'],
    ['emphasis', 'loud'],
    ['emphasis', 1],
    ['s_churn', 'much'],
    ['s_churn', ''],
    ['s_churn', -1],
    ['CLIP_stop_at_last_layers', 1.5],
    ['sd_vae', 'other.safetensors'],
    ['face_restoration', true],
    ['token_merging_ratio', 1.5],
  ])('reject %s as %j with status 422, naming the option', async (name, value) => {
    const { status, body } = await send(await start(), 'options', { [name]: value });
    expect({ status, detail: body.detail }).toEqual({ status: 422, detail: expect.stringContaining(name) });
  });

  it('keep their values for null, and accept all spellings of a value that is fixed', async () => {
    const running = await start();
    await send(running, 'options', { randn_source: 'NV' });
    const same = {
      sd_vae: 'none',
      sd_lora: null,
      samples_format: ' PNG ',
      tiling: 'False',
      token_merging_ratio: '0',
    };
    const { status } = await send(running, 'options', {
      ...same,
      randn_source: null,
      sd_model_checkpoint: '',
    });
    expect(status).toBe(200);
    expect((await send(running, 'options')).body).toMatchObject({
      randn_source: 'NV',
      sd_model_checkpoint: 'starter',
    });
  });

  it('start with defaults if their file is damaged, and drop values in it that are not valid any more', async () => {
    await start();
    await send(server!, 'options', { s_churn: 2 });
    await server!.close();
    const file = join(data, 'a1111-options.json');
    await writeFile(file, '{"s_churn": 3, "randn_source": "dice"}');
    await start();
    expect((await send(server!, 'options')).body).toMatchObject({ s_churn: 3, randn_source: 'CPU' });
    await server!.close();
    for (const damaged of ['{"s_churn": 3', 'null']) {
      await writeFile(file, damaged);
      await start();
      expect((await send(server!, 'options')).body).toMatchObject({ s_churn: 0, randn_source: 'CPU' });
      await server!.close();
    }
  });
});

describe('requests to A1111', () => {
  let data: string;
  let server: RunningServer;
  const small = { prompt: 'a pear', seed: 1, steps: 1, width: 64, height: 64, sampler_name: 'Euler' };
  beforeAll(async () => {
    data = await mkdtemp(join(tmpdir(), 'safelight-a1111-'));
    server = await serve({ port: 0, 'log-level': 'silent', data, 'max-count': 4, 'max-steps': 20 });
  });
  afterAll(async () => {
    await server.close();
    await rm(data, { recursive: true, force: true });
  });

  it.each([
    [{ s_min_uncond: 1 }, /s_min_uncond/],
    [{ restore_faces: true }, /restore_faces/],
    [{ refiner_checkpoint: 'other', refiner_switch_at: 0.8 }, /refiner_checkpoint/],
    [{ script_name: 'x/y plot' }, /x\/y plot/],
    [{ alwayson_scripts: { controlnet: {} } }, /controlnet/],
    [{ enable_hr: true, hr_checkpoint_name: 'other' }, /hr_checkpoint_name/],
    [{ enable_hr: true, hr_upscaler: 'ESRGAN_4x' }, /hr_upscaler.*ESRGAN_4x/],
    [{ enable_hr: true, hr_scale: 0.5 }, /hr_scale/],
    [{ enable_hr: true, hr_resize_x: 100_000, hr_resize_y: 64 }, /hr_resize_x/],
    [{ batch_size: 3, n_iter: 2 }, /batch_size \* n_iter.*3 \* 2 = 6/],
    [{ batch_size: 5 }, /batch_size \* n_iter.*5 \* 1 = 5/],
    [{ steps: 21 }, /steps.*20.*21/],
    [{ cfg_scale: -1000 }, /cfg_scale.*-1000/],
  ])('are rejected with status 422 for %j, naming the field', async (fields, message) => {
    const { status, body } = await send(server, 'txt2img', { ...small, ...fields });
    expect({ status, detail: body.detail }).toEqual({ status: 422, detail: expect.stringMatching(message) });
  });

  it.each([
    ['img2img', { init_images: ['AAAA', 'AAAA'] }, /init_images with 2 images/],
    ['extra-single-image', { image: PIXEL, codeformer_visibility: 1 }, /codeformer_visibility/],
    ['extra-single-image', { image: PIXEL, gfpgan_visibility: 1 }, /gfpgan_visibility/],
    ['interrogate', { image: 'AAAA', model: 'clip' }, /interrogate/],
  ])('are rejected by /%s with status 422 for %j', async (path, fields, message) => {
    const { status, body } = await send(server, path, { ...small, ...fields });
    expect({ status, detail: body.detail }).toEqual({ status: 422, detail: expect.stringMatching(message) });
  });

  it('are answered without images on request, and report subseeds that count up', async () => {
    const fields = { ...small, send_images: false, batch_size: 2, subseed: 5 };
    const { body } = await send(server, 'txt2img', fields);
    expect(body.images).toEqual([]);
    expect(JSON.parse(String(body.info))).toMatchObject({
      all_seeds: [1, 2],
      all_subseeds: [5, 6],
      subseed_strength: 0,
    });
  });

  it('report the subseeds that variations used', async () => {
    const fields = { ...small, send_images: false, batch_size: 2, subseed: 5, subseed_strength: 0.3 };
    const { body } = await send(server, 'txt2img', fields);
    expect(JSON.parse(String(body.info))).toMatchObject({ subseed_strength: 0.3, subseed: 5 });
  });

  it('use a negative prompt, sampler and schedule of their own in the second pass', async () => {
    const hires = { enable_hr: true, hr_scale: 1.5, denoising_strength: 0.5, hr_negative_prompt: 'blurry' };
    const second = { hr_scheduler: 'Karras', hr_sampler_name: 'DPM++ 2M', hr_second_pass_steps: 2 };
    const { status, body } = await send(server, 'txt2img', { ...small, ...hires, ...second });
    expect(status).toBe(200);
    const info = JSON.parse(String(body.info));
    expect(info.infotexts[0]).toContain('Hires sampler: DPM++ 2M');
    expect(info.infotexts[0]).toContain('Hires negative prompt: blurry');
  });

  it('keep the sampler of the first pass if only a schedule is given for the second', async () => {
    const hires = { enable_hr: true, hr_scale: 1.5, denoising_strength: 0.5, hr_scheduler: 'Karras' };
    const { body } = await send(server, 'txt2img', { ...small, ...hires });
    expect(JSON.parse(String(body.info)).infotexts[0]).toMatch(
      /Sampler: Euler,.*Hires schedule type: Karras/,
    );
  });
});
