/** Upscaling jobs, from the request to the files. */
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mix } from '../../../lib/image/mix.js';
import { encodePng, readPngText } from '../../../lib/image/png.js';
import { readImage } from '../../../lib/image/read.js';
import { resample } from '../../../lib/image/resample.js';
import { Catalog } from '../../../lib/jobs/models/catalog.js';
import type { RunOutcome } from '../../../lib/jobs/run/context.js';
import { runJob } from '../../../lib/jobs/run-job.js';
import { defaultLimits } from '../../../lib/jobs/schemas.js';
import { DataFolder } from '../../../lib/jobs/store/data-folder.js';
import type { Job, JobRequest, NewEvent } from '../../../lib/jobs/types.js';
import { Upscaler } from '../../../lib/pipelines/upscale/upscaler.js';
import { testImage } from '../../support/upscale/images.js';
import { writeNetwork } from '../../support/upscale/networks.js';
import { scratch } from '../../support/vqgan/autoencoders.js';

const folder = scratch();
const upscalers = join(folder, 'upscalers');
mkdirSync(upscalers);
const network = writeNetwork(upscalers, 'compact');
writeNetwork(upscalers, 'esrgan-x2');
writeFileSync(join(upscalers, 'broken.pth'), 'no tensors');
const TEXTS = {
  parameters: 'a cat\nSteps: 3, Seed: 7',
  safelight: '{"version":1,"options":{"prompt":"a cat"}}',
};
const source = testImage(40, 24, 3);

let data: DataFolder;
let catalog: Catalog;
let image: string;
let upscaler: Upscaler;
beforeAll(async () => {
  data = await DataFolder.open(join(folder, 'data'));
  const models = [{ name: 'starter', path: 'starter', kind: 'diffusion' as const }];
  const loading = { backend: 'cpu' as const, threads: 1, upscalerFolder: upscalers };
  catalog = await Catalog.open(models, loading, defaultLimits);
  image = Buffer.from(await encodePng(source, TEXTS)).toString('base64');
  upscaler = await Upscaler.load(network, { backend: 'cpu', threads: 1 });
});
afterAll(() => Promise.all([catalog.pool.close(), upscaler.dispose()]));

let number = 0;

interface Ran extends RunOutcome {
  readonly events: NewEvent[];
  readonly png: Buffer;
}

const prepare = (options: JobRequest['options']) =>
  catalog.upscalers.settle('upscale', catalog.prepare({ type: 'upscale', options: { image, ...options } }));

async function run(
  requested: JobRequest['options'],
  control: { finish?: AbortSignal; signal?: AbortSignal; onEvent?: (event: NewEvent) => void } = {},
): Promise<Ran> {
  const id = (++number).toString(16).padStart(30, '0');
  const { model, options } = await prepare(requested);
  await data.writeInput(id, 'image', Buffer.from(String(options.image), 'base64'));
  const job: Job = {
    ...{ id, type: 'upscale', model, status: 'running', previews: {}, client: 'own' },
    options: { ...options, image: { file: 'image' } },
    ...{ extra: null, created: new Date().toISOString(), attempts: 1, images: [], warnings: [] },
  };
  const events: NewEvent[] = [];
  const never = new AbortController().signal;
  const { onEvent, ...signals } = control;
  const outcome = await runJob(job, catalog, {
    ...{ data, signal: never, finish: never, skip: () => never },
    emit: (event) => {
      events.push(event);
      onEvent?.(event);
    },
    ...signals,
  });
  const path = await data.result(id, '0.png');
  return { ...outcome, events, png: path === undefined ? Buffer.alloc(0) : await readFile(path) };
}

const pixelsOf = async ({ png }: Ran) => (await readImage(png)).data;

describe('an upscaling job', () => {
  it('enlarges an image with the model and keeps its texts', async () => {
    const ran = await run({ upscaler: 'COMPACT' });
    const expected = await upscaler.upscale(source);
    expect(await pixelsOf(ran)).toEqual(expected.data);
    const postprocessing = 'Postprocess upscale by: 4, Postprocess upscaler: compact';
    expect(readPngText(ran.png)).toEqual({ ...TEXTS, postprocessing });
    expect(ran).toMatchObject({
      images: [{ name: '0.png', width: 160, height: 96, parameters: TEXTS.parameters }],
      result: { postprocessing },
    });
    expect(ran.images[0]).not.toHaveProperty('seed');
  });

  it('reports the finished tiles, which do not change the result of a model with a small field', async () => {
    const ran = await run({ upscaler: 'compact', tile: 32, overlap: 16 });
    const progress = ran.events.flatMap((event) => (event.type === 'progress' ? [event.data] : []));
    const steps = progress.filter(({ phase }) => phase === 'upscale');
    expect(steps.length).toBeGreaterThan(1);
    expect(steps.map(({ step }) => step)).toEqual(steps.map((_, i) => i + 1));
    expect(steps.at(-1)).toMatchObject({ step: steps.length, steps: steps.length });
  });

  it('runs the model again until the image covers the size, as A1111 does', async () => {
    const ran = await run({ upscaler: 'compact', scale: 5, multiple: 8 });
    const once = await upscaler.upscale(source);
    const { data: bytes, width, height } = once;
    const twice = await upscaler.upscale({ data: bytes, width, height, channels: 3 });
    expect(await pixelsOf(ran)).toEqual((await resample(twice, 200, 120, 'lanczos')).data);
  });

  it('mixes the results of two upscalers', async () => {
    const [first, second] = [
      await run({ upscaler: 'compact' }),
      await run({ upscaler: 'lanczos', scale: 4 }),
    ];
    const ran = await run({ upscaler: 'compact', second: { upscaler: 'Lanczos', visibility: 0.25 } });
    const mixed = await mix(await readImage(first.png), await readImage(second.png), 0.25);
    expect(await pixelsOf(ran)).toEqual(mixed.data);
    expect(readPngText(ran.png).postprocessing).toContain(
      'Postprocess upscaler 2: Lanczos, Postprocess upscaler 2 visibility: 0.25',
    );
    const invisible = await run({ upscaler: 'compact', second: { upscaler: 'lanczos', visibility: 0 } });
    expect(await pixelsOf(invisible)).toEqual(await pixelsOf(first));
  });

  it('crops the result to a size', async () => {
    const size = { width: 64, height: 64 };
    const ran = await run({ upscaler: 'nearest', size, crop: true });
    expect(await sharp(ran.png).metadata()).toMatchObject(size);
    expect((await run({ upscaler: 'nearest', size })).images[0]).toMatchObject({ width: 107, height: 64 });
  });

  it('keeps alpha', async () => {
    const clear = testImage(20, 12, 4, (x, _y, c, usual) => (c === 3 ? x * 12 : usual));
    const raw = { width: 20, height: 12, channels: 4 as const };
    const png = (await sharp(clear.data, { raw }).png().toBuffer()).toString('base64');
    const ran = await run({ upscaler: 'compact', image: png });
    const expected = await upscaler.upscale(clear);
    expect(expected.channels).toBe(4);
    expect((await readImage(ran.png, { alpha: 'keep' })).data).toEqual(expected.data);
  });

  it('keeps the model loaded for the next job, and loads a file again that has changed', async () => {
    const path = join(upscalers, 'late.safetensors');
    copyFileSync(network, path);
    const loads = async () => {
      const { events } = await run({ upscaler: 'late' });
      return events.filter((event) => event.type === 'progress' && event.data.phase === 'load').length;
    };
    expect(await loads()).toBeGreaterThan(0);
    expect(await loads()).toBe(0);
    expect(catalog.pool.loaded).toContainEqual(
      expect.objectContaining({ name: 'upscalers/late.safetensors', users: 0 }),
    );
    expect(catalog.pool.names).toEqual(['starter']);
    rmSync(path);
    copyFileSync(join(upscalers, 'esrgan-x2.safetensors'), path);
    expect(await loads()).toBeGreaterThan(0);
    expect((await run({ upscaler: 'late' })).images[0]).toMatchObject({ width: 80 });
  });

  it('is cancelled between two tiles', async () => {
    const cancel = new AbortController();
    const onEvent = (event: NewEvent): void => {
      if (event.type === 'progress' && event.data.phase === 'upscale') cancel.abort();
    };
    const ran = run({ upscaler: 'compact', tile: 16, overlap: 8 }, { signal: cancel.signal, onEvent });
    await expect(ran).rejects.toMatchObject({ code: 'ABORTED' });
    expect(catalog.pool.loaded.every(({ users }) => users === 0)).toBe(true);
  });

  it('that is finished early returns an image of the requested size', async () => {
    const finish = new AbortController();
    const onEvent = (event: NewEvent): void => {
      if (event.type === 'progress' && event.data.phase === 'upscale') finish.abort();
    };
    const ran = await run({ upscaler: 'compact', tile: 16, overlap: 8 }, { finish: finish.signal, onEvent });
    expect(ran.images[0]).toMatchObject({ width: 160, height: 96 });
    expect(await pixelsOf(ran)).toEqual((await resample(await readImage(source), 160, 96, 'lanczos')).data);
  });
});

describe('the request', () => {
  it('is completed with the name and the scale of the model', async () => {
    expect(await prepare({ upscaler: 'COMPACT' })).toMatchObject({
      model: 'compact',
      options: { upscaler: 'compact', scale: 4 },
    });
    expect(await prepare({ upscaler: 'Lanczos' })).toMatchObject({
      model: 'lanczos',
      options: { upscaler: 'lanczos', scale: 2 },
    });
    expect((await prepare({ upscaler: 'compact' })).options).not.toHaveProperty('seed');
  });

  it.each([
    [{ upscaler: 'compcat' }, 'ADAPTER_NOT_FOUND', /did you mean compact\?/],
    [{ upscaler: '../models/secret.pth' }, 'INVALID_OPTION', /upscaler/],
    [{ upscaler: '/etc/passwd' }, 'INVALID_OPTION', /upscaler/],
    [{ upscaler: '..\\compact' }, 'INVALID_OPTION', /upscaler/],
    [{ upscaler: 'compact', second: { upscaler: 'none' } }, 'ADAPTER_NOT_FOUND', /"none"/],
    [{ upscaler: 'broken' }, 'INVALID_FILE', /broken/],
    [{ upscaler: 'compact', tile: 8 }, 'INVALID_OPTION', /tile/],
    [{ upscaler: 'compact', tile: 32, overlap: 32 }, 'INVALID_OPTION', /overlap/],
    [{ upscaler: 'compact', scale: 2, size: { width: 8, height: 8 } }, 'INVALID_OPTION', /scale/],
    [{ upscaler: 'compact', crop: true }, 'INVALID_OPTION', /crop/],
    [{ upscaler: 'compact', scale: 0 }, 'INVALID_OPTION', /scale/],
    [{}, 'INVALID_OPTION', /upscaler/],
  ])('%j is rejected with %s', async (options, code, message) => {
    const prepared = async () => prepare(options as JobRequest['options']);
    await expect(prepared()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('names no model, and no upscaler without a folder', async () => {
    const request = { type: 'upscale', model: 'starter', options: { image, upscaler: 'lanczos' } } as const;
    expect(() => catalog.prepare(request)).toThrow(/model/);
    const models = [{ name: 'starter', path: 'starter', kind: 'diffusion' as const }];
    const bare = await Catalog.open(models, {}, defaultLimits);
    const { options } = bare.prepare({ type: 'upscale', options: { image, upscaler: 'compact' } });
    await expect(bare.upscalers.settle('upscale', { model: '', options })).rejects.toMatchObject({
      code: 'ADAPTER_NOT_FOUND',
      message: expect.stringContaining('--models'),
    });
  });

  it('of a generation may name the upscaler of the second pass', async () => {
    const settle = (upscaler: string) => {
      const options = { prompt: 'a', hires: { upscaler } };
      return catalog.upscalers.settle('text-to-image', catalog.prepare({ type: 'text-to-image', options }));
    };
    expect((await settle('COMPACT')).options).toMatchObject({ hires: { upscaler: 'compact' } });
    expect((await settle('lanczos')).options).toMatchObject({ hires: { upscaler: 'lanczos' } });
    await expect(settle('compcat')).rejects.toMatchObject({ code: 'ADAPTER_NOT_FOUND' });
    for (const path of [network, './compact', 'sub\\compact'])
      await expect(async () => settle(path)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    const located = await catalog.upscalers.located({ hires: { upscaler: 'compact' } });
    expect(located).toEqual({ hires: { upscaler: network } });
  });
});
