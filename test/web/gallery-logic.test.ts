/** Logic of the web page for finished images: file names, archives, search, upscaling, restoring. */
import { crc32 as nodeCrc32 } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { encodePng } from '../../lib/image/png.js';
import type { About } from '../../web/src/api/types.js';
import {
  canEnlarge,
  enlargedSize,
  enlargeRequest,
  isAllowed,
  isUpscalable,
  upscaledSize,
  upscaleRequest,
} from '../../web/src/logic/enlarge.js';
import { plain } from '../../web/src/logic/format.js';
import { distinct, downloadName, promptOf } from '../../web/src/logic/names.js';
import { readTexts } from '../../web/src/logic/png-text.js';
import { requestOf } from '../../web/src/logic/request.js';
import { fieldsOf, mergeFields, unrestoredOf } from '../../web/src/logic/restore.js';
import { compileQuery, searchTexts } from '../../web/src/logic/search.js';
import { defaults, imagesOf, resetOf, reviveSettings } from '../../web/src/logic/settings.js';
import { withoutMetadata } from '../../web/src/logic/strip-metadata.js';
import { crc32, createZip } from '../../web/src/logic/zip.js';
import { fakeJob } from './crowd.js';
import { unzipped } from './unzip.js';

const about = {
  models: [
    { name: 'starter', kind: 'diffusion', loaded: true, diffusion: { factor: 8, sampler: 'euler_a' } },
  ],
  samplers: [
    { name: 'dpmpp_2m', label: 'DPM++ 2M', ownsSchedule: false },
    { name: 'euler_a', label: 'Euler a', ownsSchedule: false },
  ],
  schedules: [{ name: 'karras', label: 'Karras' }],
  hiresUpscalers: [
    { name: 'latent', label: 'Latent' },
    { name: 'nearest', label: 'Nearest' },
  ],
  limits: { maxSide: 2048, maxPixels: 2048 * 2048, maxCount: 64, maxSteps: 150, maxPrompt: 10_000 },
} as unknown as About;

describe('names of downloads', () => {
  const images = (...seeds: (number | undefined)[]) => ({
    id: 'job-1',
    images: seeds.map((seed, i) => ({
      ...{ name: `${i}.png`, type: 'image/png', width: 8, height: 8, parameters: '', url: '' },
      ...(seed === undefined ? {} : { seed }),
    })),
  });

  it('equal those of the command line', () => {
    expect(downloadName(images(7, 8), 0)).toBe('safelight-7.png');
    expect(downloadName(images(7, 8), 1)).toBe('safelight-8.png');
  });

  it('number images with equal seeds, such as variations', () => {
    const job = images(7, 7, 7);
    expect([0, 1, 2].map((i) => downloadName(job, i))).toEqual([
      ...['safelight-7.png', 'safelight-7-2.png', 'safelight-7-3.png'],
    ]);
    expect(downloadName(images(undefined, undefined), 1)).toBe('safelight-job-1-2.png');
  });

  it('do not collide in an archive', () => {
    expect(distinct(['a.png', 'b.png', 'a.png', 'A.png', 'a-2.png', 'x', 'x'])).toEqual([
      ...['a.png', 'b.png', 'a-2.png', 'A-3.png', 'a-2-2.png', 'x', 'x-2'],
    ]);
  });
});

describe('an archive', () => {
  it('contains each file under its name', async () => {
    const bytes = Uint8Array.from({ length: 70_000 }, (_, i) => (i * 31) % 251);
    const entries = [
      { name: 'a.png', bytes },
      { name: 'ünïcode-水.png', bytes: new Uint8Array() },
      { name: 'c.png', bytes: bytes.subarray(5, 9) },
    ];
    const archive = Buffer.concat(createZip(entries, new Date(2025, 2, 14, 9, 15, 30)));
    expect(unzipped(archive)).toEqual(
      entries.map(({ name, bytes }) => ({ name, bytes: Buffer.from(bytes) })),
    );
    expect(unzipped(Buffer.concat(createZip([])))).toEqual([]);
  });

  it('has the checksum of the format', () => {
    expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926);
    const bytes = Uint8Array.from({ length: 999 }, (_, i) => (i * i) % 256);
    expect(crc32(bytes)).toBe(nodeCrc32(bytes));
  });
});

describe('an image without its settings', () => {
  it('is the same image', async () => {
    const data = Uint8Array.from({ length: 8 * 8 * 3 }, (_, i) => i);
    const png = new Uint8Array(await encodePng({ data, width: 8, height: 8 }, { parameters: 'a secret' }));
    const bare = withoutMetadata(png);
    expect((await readTexts(new Blob([png]))).parameters).toBe('a secret');
    expect((await readTexts(new Blob([bare]))).parameters).toBeUndefined();
    expect(Buffer.from(bare).includes('secret')).toBe(false);
    const pixels = await sharp(Buffer.from(bare)).removeAlpha().raw().toBuffer();
    expect(new Uint8Array(pixels)).toEqual(data);
  });

  it('is unchanged if it is not a complete PNG', () => {
    const broken = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 255, 255, 255, 255, 1, 2, 3, 4]);
    for (const bytes of [broken, new Uint8Array([1, 2, 3]), new Uint8Array()])
      expect(withoutMetadata(bytes)).toBe(bytes);
  });
});

describe('search', () => {
  const job = fakeJob({
    options: { prompt: 'A red Apple on a table', negative: 'blurry', sampler: 'dpmpp_2m', seed: 42 },
  });
  const image = searchTexts({ ...job, model: 'sd15' }, { ...job.images[0]!, seed: 4242 }, about);
  const finds = (query: string) => compileQuery(query)(image);

  it('finds all words in any position, order and case', () => {
    for (const query of [
      'apple',
      'TABLE red',
      'blurry',
      '4242',
      'sd15',
      'DPM++',
      'dpmpp_2m',
      ' ',
      'red sd15',
    ])
      expect([query, finds(query)]).toEqual([query, true]);
    for (const query of ['pear', 'red pear', 'euler', '7'])
      expect([query, finds(query)]).toEqual([query, false]);
  });

  it('finds exact words in quotes, and in a named field', () => {
    expect([finds('"red apple"'), finds('"apple red"')]).toEqual([true, false]);
    expect([finds('seed:4242'), finds('seed:42'), finds('negative:blur'), finds('negative:red')]).toEqual([
      ...[true, false, true, false],
    ]);
    expect([finds('model:sd'), finds('sampler:"2m"'), finds('prompt:"red apple" 4242')]).toEqual([
      ...[true, true, true],
    ]);
  });

  it('reads a colon after an unknown field as text', () => {
    const weighted = searchTexts(fakeJob({ options: { prompt: '(red:1.2) x' } }), job.images[0]!, about);
    expect([compileQuery('red:1.2')(weighted), compileQuery('red:1.3')(weighted)]).toEqual([true, false]);
  });

  it('includes the model’s default sampler if the job has none, and never fails', () => {
    const plainJob = fakeJob({ options: { prompt: 'x' } });
    expect(compileQuery('euler')(searchTexts(plainJob, plainJob.images[0]!, about))).toBe(true);
    for (const query of ['"', ':', '::', 'seed:', '""', '(', '\\', '"a'])
      expect(typeof compileQuery(query)(image)).toBe('boolean');
  });
});

describe('upscaling', () => {
  const options = {
    ...{ prompt: 'cat', negative: 'dog', steps: 30, cfg: 5, sampler: 'dpmpp_2m', clipSkip: 2, rng: 'cuda' },
    ...{ width: 512, height: 768, count: 4, batch: 2, seed: 7, subseed: 3, subseedStrength: 0.5 },
    ...{ init: { file: 'init' }, mask: { file: 'mask' }, strength: 0.9, maskBlur: 4, fill: 'noise' },
    hires: { scale: 2 },
  };

  it('generates the image again with its own prompt and settings', () => {
    const job = fakeJob({ type: 'inpaint', options });
    const shown = { ...job.images[0]!, width: 500, height: 760, seed: 9 };
    expect(enlargeRequest(job, shown, { scale: 1.5, strength: 0.3 }, about)).toEqual({
      ...{ type: 'image-to-image', model: 'starter' },
      options: {
        ...{
          prompt: 'cat',
          negative: 'dog',
          steps: 30,
          cfg: 5,
          sampler: 'dpmpp_2m',
          clipSkip: 2,
          rng: 'cuda',
        },
        ...{ seed: 9, width: 752, height: 1144, strength: 0.3, init: { job: job.id, image: '0.png' } },
      },
    });
  });

  it('stays on the grid and within the server’s limits', () => {
    expect(enlargedSize({ width: 100, height: 60 }, 1.3, 64)).toEqual({ width: 128, height: 64 });
    expect(isAllowed({ width: 2048, height: 2048 }, about)).toBe(true);
    expect(isAllowed({ width: 2056, height: 8 }, about)).toBe(false);
    expect([canEnlarge({ type: 'sketch' }), canEnlarge({ type: 'text-to-image' })]).toEqual([false, true]);
  });
});

describe('upscaling with a model', () => {
  const parameters = 'a red apple\nNegative prompt: blur\nSteps: 3';
  const options = { upscaler: '4x-Tiny', scale: 4 };
  const job = { ...fakeJob({ type: 'upscale', model: '4x-Tiny' }), options };
  const image = { ...job.images[0]!, parameters };

  it('requests a job for an image of another one', () => {
    expect(upscaleRequest(job, image, { upscaler: '2x', scale: 3 })).toEqual({
      type: 'upscale',
      options: { upscaler: '2x', scale: 3, image: { job: job.id, image: image.name } },
    });
    expect(upscaledSize({ width: 101, height: 50 }, 1.5)).toEqual({ width: 152, height: 75 });
    expect(isUpscalable({ width: 4096, height: 4096 }, about)).toBe(true);
    expect(isUpscalable({ width: 2 ** 14, height: 2 ** 14 }, about)).toBe(false);
  });

  it('keeps the prompt of the original for names and the search', () => {
    expect(promptOf({ ...job, images: [image] })).toBe('a red apple');
    expect(promptOf({ ...job, images: [] })).toBe('upscaled with 4x-Tiny');
    expect(compileQuery('"red apple" model:tiny')(searchTexts(job, image, about))).toBe(true);
  });
});

describe('the form', () => {
  const styles = [
    { name: 'ink', prompt: '{prompt}, ink', negative: 'colour' },
    { name: 'old', prompt: 'faded', negative: '' },
  ];

  it('applies styles to the prompts, including those of the second pass', () => {
    const settings = {
      ...defaults,
      prompt: 'cat',
      styles: ['ink', 'old'],
      hires: true,
      hiresPrompt: 'big cat',
    };
    const { options } = requestOf(settings, {}, about, styles);
    expect(options).toMatchObject({ prompt: 'cat, ink, faded', negative: 'colour' });
    expect(options.hires).toMatchObject({ prompt: 'big cat, ink, faded' });
    expect(options.hires).not.toHaveProperty('negative');
    expect(() => requestOf(settings, {}, about, [])).toThrow('style “ink” no longer exists');
  });

  it('requests batch count times batch size', () => {
    const request = (patch: object) => requestOf({ ...defaults, ...patch }, {}, about).options;
    expect(request({ count: 3 })).toEqual({ prompt: '', count: 3 });
    expect(request({ count: 3, batch: 2 })).toEqual({ prompt: '', count: 6, batch: 2 });
    expect(request({ count: 1, batch: 1 })).toEqual({ prompt: '' });
    expect(request({ count: 2, batch: 1 })).toEqual({ prompt: '', count: 2, batch: 1 });
    expect(imagesOf({ count: 3, batch: null })).toBe(3);
  });

  it('requests a variation only with a strength, and a seed resize only with a size', () => {
    const request = (patch: object) => requestOf({ ...defaults, ...patch }, {}, about).options;
    expect(request({ subseed: 5 })).toEqual({ prompt: '' });
    expect(request({ subseed: 5, subseedStrength: 0.2 })).toEqual({
      ...{ prompt: '', subseed: 5, subseedStrength: 0.2 },
    });
    expect(request({ subseedStrength: 0.2 })).toEqual({ prompt: '', subseedStrength: 0.2 });
    expect(request({ seedResizeWidth: 512, seedResizeHeight: 256 })).toEqual({
      ...{ prompt: '', seedResizeFrom: { width: 512, height: 256 } },
    });
    expect(() => request({ seedResizeWidth: 512 })).toThrow('both width and height');
  });

  it('resets to the defaults, except for the prompt, the model and the mode', () => {
    const used = {
      ...{
        ...defaults,
        mode: 'inpaint' as const,
        model: 'x',
        prompt: 'cat',
        negative: 'dog',
        seed: 1,
        count: 4,
      },
      ...{ batch: 2, styles: ['ink'], subseedStrength: 0.5, hires: true, hiresPrompt: 'y', maskBlur: 9 },
    };
    expect(resetOf(used)).toEqual({ ...defaults, mode: 'inpaint', model: 'x', prompt: 'cat' });
  });

  it('drops stored values of a wrong type', () => {
    expect(reviveSettings({ steps: 'x', sampler: 7, styles: [1], seed: 5, batch: null, model: 'm' })).toEqual(
      {
        ...{ ...defaults, seed: 5, model: 'm' },
      },
    );
  });

  it('writes seeds of 16 digits exactly', () => {
    expect(plain(4_503_599_627_370_495)).toBe('4503599627370495');
    expect(plain(2 ** 52)).toBe('4503599627370496');
    expect([plain(0.1 + 0.2), plain(-3)]).toEqual(['0.3', '-3']);
  });
});

describe('settings of an image', () => {
  it('restore variations, seed resize, prompts of the second pass and every upscaler', () => {
    const text =
      'cat\nSteps: 4, Sampler: Euler a, Seed: 1, Variation seed: 8, Variation seed strength: 0.25, Seed resize from: 64x96, ' +
      'Hires upscale: 2, Hires steps: 0, Hires upscaler: Nearest, Hires prompt: "a, b", Version: Safelight 0';
    expect(mergeFields(fieldsOf(text, about))).toMatchObject({
      ...{ subseed: 8, subseedStrength: 0.25, seedResizeWidth: 64, seedResizeHeight: 96, styles: [] },
      ...{ hires: true, hiresSteps: null, hiresUpscaler: 'nearest', hiresPrompt: 'a, b', rng: 'cpu' },
    });
    expect(mergeFields(fieldsOf('x\nSteps: 1, Seed: 1, Size: 8x8', about)).subseedStrength).toBe(0);
  });

  it("have stable-diffusion-webui's defaults for fields that it omits", () => {
    const a1111 = 'cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, Version: v1.10.1';
    expect(mergeFields(fieldsOf(a1111, about))).toMatchObject({ rng: 'cuda', schedule: 'automatic' });
    const old = 'cat\nSteps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 1, RNG: CPU';
    expect(mergeFields(fieldsOf(old, about))).toMatchObject({ rng: 'cpu', schedule: 'karras' });
    expect(mergeFields(fieldsOf('just words', about))).toMatchObject({ rng: 'cpu', schedule: null });
  });

  it('list what the form does not support', () => {
    const text =
      'cat\nSteps: 20, Sampler: Euler a, Seed: 1, Size: 8x8, Model hash: abc, Model: other, VAE: vae-ft, ' +
      'Hires upscale: 2, Hires upscaler: R-ESRGAN 4x+, Lora hashes: "foo: 123", Version: v1.10.1';
    expect(unrestoredOf(text, about)).toEqual([
      ...['LoRA: foo', 'Model: other', 'VAE: vae-ft', 'Hires upscaler: R-ESRGAN 4x+'],
    ]);
    expect(unrestoredOf('cat\nSteps: 1, Seed: 1, Size: 8x8, Model: starter', about)).toEqual([]);
  });
});
