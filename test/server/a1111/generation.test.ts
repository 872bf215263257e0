import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseParameters } from '../../../lib/image/parameters.js';
import { readPngText } from '../../../lib/image/png.js';
import { type Generated, WebUIApi } from '../../support/server/a1111-client.js';
import { call, startServer, type TestServer } from '../../support/server/test-server.js';

let server: TestServer;
let api: WebUIApi;
beforeAll(async () => {
  server = await startServer();
  api = new WebUIApi(server.url);
});
afterAll(() => server.end());

const bytes = (image: string | undefined) => Buffer.from(image ?? '', 'base64');
const infoOf = ({ info }: Generated) => JSON.parse(info) as Record<string, unknown> & { infotexts: string[] };
const fieldsOf = (made: Generated) => parseParameters(infoOf(made).infotexts[0] ?? '').fields;
const idle = () => expect.objectContaining({ job_count: 0, job_no: 0, sampling_step: 0, sampling_steps: 0 });

async function until(what: () => Promise<boolean> | boolean): Promise<void> {
  for (let i = 0; i < 500 && !(await what()); i++) await new Promise((resolve) => setTimeout(resolve, 10));
}

async function plain(width: number, height: number, background: string): Promise<string> {
  const png = await sharp({ create: { width, height, channels: 3, background } })
    .png()
    .toBuffer();
  return png.toString('base64');
}

/** White in the left half. */
async function halfMask(width: number, height: number): Promise<string> {
  const data = Uint8Array.from({ length: width * height }, (_, i) => (i % width < width / 2 ? 255 : 0));
  return (
    await sharp(data, { raw: { width, height, channels: 1 } })
      .png()
      .toBuffer()
  ).toString('base64');
}

describe('txt2img', () => {
  it("returns images, the request with A1111's defaults, and info in A1111's format", async () => {
    const made = await api.txt2img({ batch_size: 2, n_iter: 2, negative_prompt: 'blurry', subseed: 70 });
    expect(made.images).toHaveLength(4);
    expect(made.parameters).toMatchObject({
      hr_scale: 2,
      subseed_strength: 0,
      force_task_id: null,
      steps: 2,
    });
    const info = infoOf(made);
    expect(info).toMatchObject({
      ...{ prompt: 'a red apple', negative_prompt: 'blurry', seed: 1, subseed: 70, subseed_strength: 0 },
      ...{ width: 64, height: 64, sampler_name: 'Euler a', cfg_scale: 7, steps: 2, batch_size: 2 },
      ...{ all_seeds: [1, 2, 3, 4], all_subseeds: [70, 71, 72, 73], sd_model_name: 'starter', clip_skip: 1 },
      ...{ restore_faces: false, sd_model_hash: null, sd_vae_name: null, sd_vae_hash: null, styles: [] },
      ...{ seed_resize_from_w: 0, seed_resize_from_h: 0, index_of_first_image: 0 },
      is_using_inpainting_conditioning: false,
    });
    expect(info.all_prompts).toEqual(Array(4).fill('a red apple'));
    expect(info.all_negative_prompts).toHaveLength(4);
    expect(info.job_timestamp).toMatch(/^\d{14}$/);
    const texts = made.images.map((image) => readPngText(bytes(image)).parameters);
    expect(texts).toEqual(info.infotexts);
    expect(texts[2]).toMatch(
      /^a red apple\nNegative prompt: blurry\nSteps: 2, Sampler: Euler a, Schedule type: Uniform, CFG scale: 7, Seed: 3, Size: 64x64, Model: /,
    );
  });

  it('returns the image of the pipeline for the same settings', async () => {
    const made = await api.txt2img({
      ...{ subseed: 5, subseed_strength: 0.4, seed_resize_from_w: 96, seed_resize_from_h: 48, eta: 0.5 },
      override_settings: { eta_noise_seed_delta: 31337, CLIP_stop_at_last_layers: 2, randn_source: 'NV' },
    });
    expect(fieldsOf(made)).toMatchObject({
      ...{ 'Variation seed': '5', 'Variation seed strength': '0.4', 'Seed resize from': '96x48' },
      ...{ ENSD: '31337', 'Clip skip': '2', RNG: 'NV', Eta: '0.5' },
    });
    const job = await call<{ id: string }>(`${server.url}/v1/jobs`, {
      method: 'POST',
      json: {
        ...{ type: 'text-to-image', prompt: 'a red apple', seed: 1, steps: 2, width: 64, height: 64 },
        ...{ sampler: 'euler_a', schedule: 'discrete', cfg: 7, subseed: 5, subseedStrength: 0.4, eta: 0.5 },
        ...{ seedResizeFrom: { width: 96, height: 48 }, etaNoiseSeedDelta: 31337, clipSkip: 2, rng: 'cuda' },
      },
    });
    await until(async () => (await server.queue.get(job.body.id))?.status === 'done');
    const file = await server.queue.file(job.body.id, '0.png');
    const [a, b] = await Promise.all(
      [bytes(made.images[0]), file!.path].map((one) => sharp(one).raw().toBuffer()),
    );
    expect(a!.equals(b!)).toBe(true);
    // The overrides applied to that request only.
    expect((await api.get('options')).body).toMatchObject({ eta_noise_seed_delta: 0, randn_source: 'CPU' });
  });

  it('upscales in a second pass with its own sampler and prompt', async () => {
    const made = await api.txt2img({
      ...{ enable_hr: true, hr_scale: 1.5, hr_upscaler: 'Latent (nearest)', hr_second_pass_steps: 1 },
      ...{
        denoising_strength: 0.5,
        hr_prompt: 'a pear',
        hr_sampler_name: 'DPM++ 2M',
        hr_scheduler: 'Karras',
      },
    });
    expect(await sharp(bytes(made.images[0])).metadata()).toMatchObject({ width: 96, height: 96 });
    expect(fieldsOf(made)).toMatchObject({
      ...{ 'Hires upscale': '1.5', 'Hires upscaler': 'Latent (nearest)', 'Hires steps': '1' },
      ...{ 'Hires prompt': 'a pear', 'Hires sampler': 'DPM++ 2M', 'Hires schedule type': 'Karras' },
      'Denoising strength': '0.5',
    });
    expect(infoOf(made).extra_generation_params).toMatchObject({ 'Hires prompt': 'a pear' });
  });

  it.each([
    [{ sampler_name: 'DPM++ 2M' }, 'DPM++ 2M', 'Karras', undefined],
    [{ sampler_name: 'k_dpmpp_2m_sde' }, 'DPM++ 2M SDE', 'Exponential', undefined],
    [{ sampler_name: 'dpm2 a', scheduler: null }, 'DPM2 a', 'Karras', 'True'],
    [{ sampler_name: 'DPM++ 3M SDE', scheduler: 'karras' }, 'DPM++ 3M SDE', 'Karras', 'True'],
    [{ sampler_name: 'Euler Karras' }, 'Euler', 'Karras', undefined],
    [
      { sampler_name: null, sampler_index: 'Heun', scheduler: 'SGMUniform' },
      'Heun',
      'SGM Uniform',
      undefined,
    ],
    [{ sampler_name: null }, 'Euler', 'Uniform', undefined],
    [{ sampler_name: 'Euler', scheduler: 'Turbo' }, 'Euler', 'Turbo', undefined],
    [{ sampler_name: 'LCM', scheduler: 'Automatic' }, 'LCM', undefined, undefined],
    [{ sampler_name: 'LCM', scheduler: 'SGM Uniform' }, 'LCM', 'SGM Uniform', undefined],
    [{ sampler_name: 'DDIM', scheduler: 'Karras' }, 'DDIM', undefined, undefined],
  ])('%j selects %s on %s', async (fields, sampler, schedule, discards) => {
    const made = fieldsOf(await api.txt2img({ ...fields, send_images: false }));
    expect([made.Sampler, made['Schedule type'], made['Discard penultimate sigma']]).toEqual([
      sampler,
      schedule,
      discards,
    ]);
  });

  it('takes missing fields from an infotext', async () => {
    const { body } = await api.post<Generated>('txt2img', {
      seed: 9,
      infotext: 'a pear\nNegative prompt: dog\nSteps: 1, Sampler: Heun, CFG scale: 3, Seed: 4, Size: 64x72',
    });
    expect(infoOf(body)).toMatchObject({
      ...{ prompt: 'a pear', negative_prompt: 'dog', seed: 9, steps: 1, sampler_name: 'Heun', cfg_scale: 3 },
      ...{ width: 64, height: 72 },
    });
  });

  it('takes the schedule of an infotext for a sampler with its own timesteps', async () => {
    const infotext =
      'a pear\nSteps: 2, Sampler: DDIM, Schedule type: Turbo, CFG scale: 3, Seed: 4, Size: 64x64, Version: Safelight 1';
    const { body } = await api.post<Generated>('txt2img', { infotext });
    expect(fieldsOf(body)).toMatchObject({ Sampler: 'DDIM', 'Schedule type': 'Turbo' });
  });

  it('takes sigmas from an infotext unless the request sets steps or a scheduler', async () => {
    const infotext =
      'a pear\nSteps: 2, Sampler: Euler, CFG scale: 3, Seed: 4, Size: 64x64, Sigmas: 9 2, Version: Safelight 1';
    const made = async (fields: object) =>
      fieldsOf((await api.post<Generated>('txt2img', { infotext, ...fields })).body);
    expect(await made({})).toMatchObject({ Steps: '2', Sigmas: '9 2' });
    expect(await made({ steps: 3 })).not.toHaveProperty('Sigmas');
    expect(await made({ scheduler: 'karras', sampler_name: 'Euler' })).toMatchObject({
      'Schedule type': 'Karras',
    });
    expect(await made({ sampler_name: 'DDIM' })).toMatchObject({ Sampler: 'DDIM', Steps: '2' });
  });

  it('creates seamless images and merges tokens', async () => {
    const made = async (fields: object) => fieldsOf(await api.txt2img({ steps: 1, ...fields }));
    expect(await made({ tiling: true })).toMatchObject({ Tiling: 'True' });
    expect(
      await made({ tiling: null, override_settings: { tiling: true, token_merging_ratio: 0.4 } }),
    ).toMatchObject({
      ...{ Tiling: 'True', 'Token merging ratio': '0.4' },
    });
    const infotext =
      'x\nSteps: 1, Sampler: Euler, Seed: 1, Size: 64x64, Token merging ratio: 0.3, Tiling: True';
    expect(await made({ infotext, tiling: false })).toMatchObject({ 'Token merging ratio': '0.3' });
    const plain = await made({ tiling: null });
    for (const name of ['Tiling', 'Token merging ratio']) expect(plain).not.toHaveProperty(name);
  });

  it.each([
    [{ sampler_name: 'None such' }, 400, 'Sampler not found'],
    [{ scheduler: 'None such' }, 422, 'scheduler'],
    [{ script_name: 'x/y plot' }, 422, "Script 'x/y plot' not found"],
    [{ alwayson_scripts: { ADetailer: { args: [] } } }, 422, 'ADetailer'],
    [{ restore_faces: true }, 422, 'restore_faces'],
    [{ override_settings: { token_merging_ratio: 1 } }, 422, 'token_merging_ratio'],
    [{ refiner_checkpoint: 'xl', refiner_switch_at: 0.8 }, 422, 'refiner_checkpoint'],
    [{ enable_hr: true, hr_checkpoint_name: 'other' }, 422, 'hr_checkpoint_name'],
    [{ enable_hr: true, hr_upscaler: 'R-ESRGAN 4x+' }, 422, 'hr_upscaler'],
    [{ override_settings: { sd_vae: 'other.vae' } }, 422, 'sd_vae'],
    [{ override_settings: { sd_model_checkpoint: 'other' } }, 422, 'other'],
    [{ steps: 100_000 }, 422, 'steps'],
    [{ width: 'wide' }, 422, 'width'],
    [{ cfg_scale: -3 }, 422, 'Expected cfg_scale to be at least 0, received -3'],
  ])("rejects %j in A1111's error format", async (fields, status, detail) => {
    const rejected = await api.post('txt2img', { prompt: 'x', steps: 1, width: 64, height: 64, ...fields });
    expect(rejected.status).toBe(status);
    expect(rejected.body).toEqual({
      ...{ error: expect.any(String), detail: expect.stringContaining(detail), body: '' },
      errors: expect.any(String),
    });
  });
});

describe('img2img', () => {
  it('generates from an image with each resize mode', async () => {
    const init = await plain(96, 64, '#c03020');
    for (const [resize_mode, label] of [
      [0, undefined],
      [1, 'Crop and resize'],
      [2, 'Resize and fill'],
      [3, 'Just resize (latent upscale)'],
    ] as const) {
      const made = await api.img2img(`data:image/png;base64,${init}`, {
        ...{ resize_mode, denoising_strength: 0.4, initial_noise_multiplier: 0.9, include_init_images: true },
      });
      expect(await sharp(bytes(made.images[0])).metadata()).toMatchObject({ width: 64, height: 64 });
      expect(fieldsOf(made)).toMatchObject({ 'Denoising strength': '0.4', 'Noise multiplier': '0.9' });
      expect(fieldsOf(made)['Resize mode']).toBe(label);
      expect(made.parameters.init_images).toHaveLength(1);
    }
  });

  it('inpaints the masked or the unmasked part and keeps the rest', async () => {
    const init = await plain(64, 64, '#2060a0');
    const mask = await halfMask(64, 64);
    const shared = { mask, denoising_strength: 1, inpainting_fill: 2, inpaint_full_res: false, mask_blur: 0 };
    for (const inpainting_mask_invert of [0, 1]) {
      const made = await api.img2img(init, { ...shared, inpainting_mask_invert });
      expect(made.parameters).toMatchObject({ init_images: null, mask: null });
      const { data } = await sharp(bytes(made.images[0])).raw().toBuffer({ resolveWithObject: true });
      const off = (x: number) => {
        let most = 0;
        for (let y = 0; y < 64; y++) most = Math.max(most, Math.abs(data[(y * 64 + x) * 3]! - 0x20));
        return most;
      };
      const [painted, kept] = inpainting_mask_invert ? [56, 8] : [8, 56];
      expect(off(painted)).toBeGreaterThan(20);
      expect(off(kept)).toBe(0);
    }
  });

  it('inpaints at full size for the masked part only, for each image of a batch', async () => {
    const init = await plain(128, 96, '#2060a0');
    const made = await api.img2img(init, {
      ...{
        mask: await halfMask(128, 96),
        inpaint_full_res: true,
        inpaint_full_res_padding: 8,
        batch_size: 2,
      },
      ...{ mask_blur_x: 2, mask_blur_y: 6, mask_blur: null },
    });
    for (const image of made.images)
      expect(await sharp(bytes(image)).metadata()).toMatchObject({ width: 128, height: 96 });
    expect(fieldsOf(made)).toMatchObject({
      ...{ 'Inpaint area': 'Only masked', 'Masked area padding': '8', 'Mask blur': '2/6' },
      'Masked content': 'fill',
    });
  });

  it('with an empty mask processes the whole image, as in A1111', async () => {
    const made = await api.img2img(await plain(64, 64, '#808080'), { mask: await plain(64, 64, '#000000') });
    expect(fieldsOf(made)['Mask blur']).toBeUndefined();
  });

  it('responds with 404 without an image and with 400 for a damaged one', async () => {
    expect((await api.post('img2img', { prompt: 'x' })).status).toBe(404);
    expect((await api.post('img2img', { init_images: ['bm90IGEgcGljdHVyZQ=='] })).status).toBe(400);
    expect((await api.post('img2img', { init_images: ['http://example.com/a.png'] })).status).toBe(400);
  });
});

interface Progress {
  progress: number;
  eta_relative: number;
  state: { job_count: number; interrupted: boolean; sampling_steps: number; job: string };
  current_image: string | null;
  textinfo: string | null;
}

describe('a running request', () => {
  it('reports progress with a preview, and interrupting it returns the incomplete image', async () => {
    const making = api.txt2img({ steps: 150, n_iter: 3, width: 128, height: 128 });
    let seen: Progress | undefined;
    await until(async () => {
      seen = (await api.get<Progress>('progress')).body;
      return seen.current_image !== null;
    });
    expect(seen!.progress).toBeGreaterThan(0);
    expect(seen!.state).toMatchObject({ job_count: 3, job: 'Batch 1 out of 3', sampling_steps: 150 });
    expect((await sharp(bytes(seen!.current_image!)).metadata()).format).toBe('png');
    const without = await api.get<Progress>('progress?skip_current_image=true');
    expect(without.body.current_image).toBeNull();
    // As some clients post it: with the content type of JSON and an empty body.
    const interrupted = await fetch(`${server.url}/sdapi/v1/interrupt`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    });
    expect(await interrupted.json()).toEqual({});
    const made = await making;
    expect(made.images).toHaveLength(1);
    expect((await api.get<Progress>('progress')).body).toEqual({
      ...{ progress: 0, eta_relative: 0, current_image: null, textinfo: null },
      state: idle(),
    });
  });

  it('omits the image in progress when it is skipped', async () => {
    const making = api.txt2img({ steps: 60, n_iter: 2, seed: 20, width: 64, height: 64 });
    await until(async () => (await api.get<Progress>('progress')).body.state.sampling_steps > 0);
    expect((await api.post('skip')).body).toBeNull();
    const made = await making;
    expect(infoOf(made)).toMatchObject({ all_seeds: [21] });
    expect(made.images).toHaveLength(1);
  });

  it('is cancelled when its client disconnects', async () => {
    const leave = new AbortController();
    const making = api.txt2img({ steps: 150, n_iter: 3 }, leave.signal);
    making.catch(() => undefined);
    await until(async () => (await server.queue.list({ status: 'running' })).length > 0);
    leave.abort();
    await expect(making).rejects.toThrow();
    await until(async () => (await api.get<Progress>('progress')).body.state.job_count === 0);
    expect(await server.queue.list({ status: 'running' })).toEqual([]);
  });
});
