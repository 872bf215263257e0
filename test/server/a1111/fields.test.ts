import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { invalidOption } from '../../../lib/errors.js';
import { failureOf } from '../../../lib/server/a1111/failures.js';
import { WebUIApi } from '../../support/server/a1111-client.js';
import { startServer, type TestServer } from '../../support/server/test-server.js';

let server: TestServer;
let api: WebUIApi;
let image: string;
beforeAll(async () => {
  server = await startServer();
  api = new WebUIApi(server.url);
  const create = { width: 64, height: 64, channels: 3, background: '#c03020' } as const;
  image = (await sharp({ create }).png().toBuffer()).toString('base64');
});
afterAll(() => server.end());

const SMALL = { prompt: 'x', steps: 1, width: 32, height: 32 };
const detailOf = async (path: string, fields: object) => {
  const { status, body } = await api.post<{ detail: string; errors: string }>(path, { ...SMALL, ...fields });
  expect(body.errors).toBe(body.detail);
  return { status, detail: body.detail };
};
/** Names of Safelight's options that are not fields of A1111's API. */
const OWN =
  /(?<![\w.])(?:init|cfg|negative|sampler|schedule|count|batch|strength|hires|fill|padding|clipSkip|rng|\w+[a-z][A-Z]\w*)(?![\w*])/;

describe('errors with field names of the request', () => {
  it.each([
    [{ cfg_scale: 101 }, 'Expected cfg_scale of at most 100, received 101'],
    [{ cfg_scale: '101' }, 'Expected cfg_scale of at most 100, received 101'],
    [{ negative_prompt: 'a'.repeat(10_001) }, 'Expected negative_prompt of at most 10000 characters'],
    [{ prompt: 'a'.repeat(10_001) }, 'Expected prompt of at most 10000 characters'],
    [{ batch_size: 9, n_iter: 8 }, 'Expected batch_size * n_iter of at most 64, received 9 * 8 = 72'],
    [{ n_iter: 65 }, 'Expected batch_size * n_iter of at most 64, received 1 * 65 = 65'],
    [{ batch_size: 0 }, 'batch_size'],
    [{ n_iter: 0 }, 'n_iter'],
    [{ width: 7 }, 'Expected width of at least 8, received 7'],
    [{ height: 2056 }, 'Expected height of at most 2048, received 2056'],
    [{ steps: 151 }, 'Expected steps of at most 150, received 151'],
    [{ seed: -2 }, 'Expected seed of at least'],
    [{ subseed: -2 }, 'Expected subseed of at least'],
    [{ subseed_strength: 1.5 }, 'Expected subseed_strength of at most 1, received 1.5'],
    [{ s_churn: -1 }, 'Expected s_churn of at least 0, received -1'],
    [{ s_tmin: -1 }, 'Expected s_tmin of at least 0, received -1'],
    [{ s_noise: 11 }, 'Expected s_noise of at most 10, received 11'],
    [{ eta: 11, sampler_name: 'Euler a' }, 'Expected eta of at most 10, received 11'],
    [{ seed_resize_from_w: 20_000, seed_resize_from_h: 8 }, 'Expected seed_resize_from_w of at most 16384'],
    [{ enable_hr: true, hr_scale: 9 }, 'Expected hr_scale of at most 8, received 9'],
    [{ enable_hr: true, hr_resize_x: 2056, hr_resize_y: 8 }, 'Expected hr_resize_x of at most 2048'],
    [{ enable_hr: true, hr_resize_x: 64, hr_resize_y: 2056 }, 'Expected hr_resize_y of at most 2048'],
    [
      { enable_hr: true, width: 1024, height: 1024, hr_scale: 4 },
      'hr_scale: The picture would have 16777216',
    ],
    [{ enable_hr: true, hr_second_pass_steps: 151 }, 'Expected hr_second_pass_steps of at most 150'],
    [{ enable_hr: true, denoising_strength: 2 }, 'Expected denoising_strength of at most 1, received 2'],
    [{ enable_hr: true, hr_prompt: 'a'.repeat(10_001) }, 'Expected hr_prompt of at most 10000 characters'],
    [{ enable_hr: true, hr_upscaler: 'x' }, 'hr_upscaler: there is no upscaler "x"; there are None, Latent'],
    [{ enable_hr: true, hr_scheduler: 'x' }, 'hr_scheduler is "x"'],
    [{ scheduler: 'x' }, 'scheduler is "x"'],
    [{ styles: [1] }, 'styles[0]'],
    [
      { override_settings: { CLIP_stop_at_last_layers: 13 } },
      'override_settings.CLIP_stop_at_last_layers takes',
    ],
    [{ override_settings: { CLIP_stop_at_last_layers: 1.5 } }, 'a whole number from 1 to 12, received 1.5'],
    // The starter's text encoder has four layers, which is checked only when the job runs.
    [{ override_settings: { CLIP_stop_at_last_layers: 12 } }, 'between 1 and 4 for CLIP_stop_at_last_layers'],
    [{ override_settings: { sd_vae: 'x.pt' } }, 'override_settings.sd_vae ("x.pt")'],
    [{ override_settings: { sigma_min: 50, sigma_max: 2 } }, 'sigma_max'],
    [{ override_settings: { rho: 1e-9 } }, 'Expected rho of at least 0.001'],
  ])('are returned by txt2img: %j', async (fields, said) => {
    const { status, detail } = await detailOf('txt2img', fields);
    expect([status, detail]).toEqual([422, expect.stringContaining(said)]);
    expect(detail).not.toMatch(OWN);
  });

  it.each([
    [{ denoising_strength: 1.5 }, 422, 'Expected denoising_strength of at most 1, received 1.5'],
    [{ initial_noise_multiplier: 2 }, 422, 'Expected initial_noise_multiplier of at most 1.5'],
    [{ resize_mode: 4 }, 422, 'resize_mode'],
    [{ mask: true, mask_blur: 65 }, 422, 'Expected mask_blur of at most 64, received 65'],
    [{ mask: true, mask_blur_x: 65 }, 422, 'Expected mask_blur_x of at most 64, received 65'],
    [{ mask: true, mask_blur_y: -1 }, 422, 'Expected mask_blur_y of at least 0, received -1'],
    [{ mask: true, inpainting_fill: 4 }, 422, 'inpainting_fill'],
    [{ mask: true, inpaint_full_res_padding: -1 }, 422, 'Expected inpaint_full_res_padding of at least 0'],
    [{ mask: 'aGVsbG8=' }, 400, 'mask is not an image'],
    [{ mask: '!' }, 400, 'mask is not a'],
    [{ init_images: ['aGVsbG8='] }, 400, 'init_images[0] is not an image'],
    [{ init_images: ['!'] }, 400, 'init_images[0] is not a'],
    [{ init_images: [''] }, 400, 'init_images[0] is empty'],
    [{ init_images: [null] }, 422, 'init_images[0]'],
    [{ init_images: 'text' }, 422, 'init_images'],
    [{ init_images: [] }, 404, 'init_images'],
  ])('are returned by img2img: %j', async (fields, status, said) => {
    const mask = 'mask' in fields && fields.mask === true ? { mask: image } : {};
    const refused = await detailOf('img2img', { init_images: [image], ...fields, ...mask });
    expect(refused).toEqual({ status, detail: expect.stringContaining(said) });
    expect(refused.detail).not.toMatch(OWN);
  });

  it('are returned for images of a batch', async () => {
    const images = { imageList: [{ data: image }, { data: 'aGVsbG8=' }], upscaler_1: 'Lanczos' };
    const refused = await detailOf('extra-batch-images', images);
    expect(refused).toEqual({ status: 400, detail: expect.stringContaining('imageList[1].data is not') });
  });

  it.each([
    ['init', 'an image', 'init_images[0]'],
    ['cfg', 'one', 'cfg_scale'],
    ['strength', 'one', 'denoising_strength'],
    ['hires.steps', 'one', 'hr_second_pass_steps'],
    ['maskBlur', 'one', 'mask_blur'],
    ['model', 'one', 'sd_model_checkpoint'],
    ['mask', 'one', 'mask'],
    ['height', 'one', 'height'],
  ])('are returned for jobs that fail: %s', (option, expected, field) => {
    const { status, message } = failureOf(invalidOption(option, expected, 7));
    expect([status, message]).toEqual([
      422,
      `Expected ${expected} for ${field} but received 7 of type number`,
    ]);
  });

  it('do not translate words that are not options', async () => {
    const said = 'No model here does a batch of init_images with a mask; the sampler is fine';
    const { message } = failureOf(Object.assign(invalidOption('x', 'y', 1), { message: said }));
    expect(message).toBe(said);
  });
});

describe('lenient requests', () => {
  const info = async (path: string, fields: object) => {
    const { status, body } = await api.post<{ info: string }>(path, { ...SMALL, ...fields });
    expect(status, JSON.stringify(body)).toBe(200);
    return JSON.parse(body.info) as Record<string, unknown>;
  };

  it.each([-1, '-1', -1.0, '-1.0', ' -1 ', null, ''])('a seed of %j is random', async (seed) => {
    const two = [
      await info('txt2img', { seed, subseed: seed }),
      await info('txt2img', { seed, subseed: seed }),
    ];
    const [a, b] = two as [Record<string, unknown>, Record<string, unknown>];
    expect(a.seed).not.toBe(b.seed);
    expect(a.subseed).not.toBe(b.subseed);
    for (const one of [a.seed, a.subseed]) expect(one).toBeGreaterThanOrEqual(0);
  });

  it('numbers may be strings, integers may have a decimal point, and booleans may have the forms of Python and HTML forms', async () => {
    const fields = {
      ...{ seed: '7', subseed: 9.0, subseed_strength: '0.5', width: '64', height: 72.0, steps: '2' },
      ...{
        cfg_scale: '3.5',
        batch_size: '2',
        n_iter: '1.0',
        eta: '1',
        s_noise: '1.0',
        sampler_name: 'Euler',
      },
      ...{ restore_faces: 'False', tiling: 0, send_images: 'true', save_images: 'no', enable_hr: 'off' },
      ...{ seed_resize_from_w: -1, seed_resize_from_h: '-1', override_settings: { s_churn: '0' } },
    };
    expect(await info('txt2img', fields)).toMatchObject({
      ...{ seed: 7, all_subseeds: [9, 10], width: 64, height: 72, steps: 2, cfg_scale: 3.5, batch_size: 2 },
      extra_generation_params: expect.not.objectContaining({ 'Seed resize from': expect.anything() }),
    });
  });

  it.each([
    [{ width: 'wide' }, 'width'],
    [{ width: '0x40' }, 'width'],
    [{ steps: 2.5 }, 'steps'],
    [{ steps: [2] }, 'steps'],
    [{ cfg_scale: 'NaN' }, 'cfg_scale'],
    [{ seed: {} }, 'seed'],
    [{ enable_hr: 'perhaps' }, 'enable_hr'],
  ])('%j is rejected', async (fields, field) => {
    expect(await detailOf('txt2img', fields)).toEqual({
      status: 422,
      detail: expect.stringContaining(field),
    });
  });

  it('null counts as missing, and unknown keys are ignored', async () => {
    const names = (await api.txt2img({ ...SMALL })).parameters;
    const none = Object.fromEntries(Object.keys(names).map((name) => [name, null]));
    const unknown = { url: 'http://x', auth: null, a_new_field: { deep: [1] }, use_async: false };
    const override_settings = { no_such_option: 5, sd_vae: 'automatic', sd_checkpoint_hash: null };
    const made = await info('txt2img', { ...none, ...unknown, ...SMALL, override_settings });
    expect(made).toMatchObject({ sampler_name: 'Euler', cfg_scale: 7, batch_size: 1 });
    const fields = (await api.img2img(image, SMALL)).parameters;
    const also = Object.fromEntries(Object.keys(fields).map((name) => [name, null]));
    expect(await info('img2img', { ...also, ...SMALL, init_images: [image] })).toMatchObject({
      cfg_scale: 7,
    });
  });

  it.each(['data:image/png;base64,', 'DATA:image/PNG;BASE64,', ' \n data:;base64,'])(
    'an image may follow %j',
    async (before) => {
      const given = `${before}${image}\n`;
      const fields = { init_images: [given], mask: given, denoising_strength: 0.3 };
      expect(await info('img2img', fields)).toMatchObject({ denoising_strength: 0.3 });
    },
  );
});
