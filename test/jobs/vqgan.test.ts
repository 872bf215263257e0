/** Jobs of VQGAN models: options, results, and the choice of the model. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { starterModel } from '../../lib/checkpoint/open.js';
import { modelKind } from '../../lib/families/registry.js';
import { sketchStarter } from '../../lib/families/shared/vqgan/vqgan-defaults.js';
import { Catalog } from '../../lib/jobs/models/catalog.js';
import { configuredModels } from '../../lib/jobs/models/configured.js';
import type { RunOutcome } from '../../lib/jobs/run/context.js';
import { runJob } from '../../lib/jobs/run-job.js';
import { defaultLimits } from '../../lib/jobs/schemas.js';
import { DataFolder } from '../../lib/jobs/store/data-folder.js';
import type { Job, JobRequest, JobType, NewEvent } from '../../lib/jobs/types.js';
import { VqganPipeline } from '../../lib/pipelines/vqgan/vqgan-pipeline.js';
import { scratch } from '../support/vqgan/autoencoders.js';
import { writeTransformerCheckpoint } from '../support/vqgan/checkpoint.js';
import { ball, pngOf } from '../support/vqgan/drawings.js';

const folder = scratch();
const path = writeTransformerCheckpoint(join(folder, 'writer'), 32, {
  cond_stage_config: '__is_first_stage__',
});
let catalog: Catalog;
let data: DataFolder;
beforeAll(async () => {
  data = await DataFolder.open(join(folder, 'data'));
  const models = [
    { name: 'starter', path: starterModel },
    { name: 'writer', path },
    { name: 'gone', path: join(folder, 'gone') },
  ];
  catalog = await Catalog.open(models, { backend: 'cpu', threads: 1 }, defaultLimits);
});
afterAll(() => catalog.pool.close());

let number = 0;

interface Ran extends RunOutcome {
  readonly events: NewEvent[];
  readonly job: Job;
}

async function run(
  request: JobRequest,
  control: { finish?: AbortSignal; signal?: AbortSignal } = {},
): Promise<Ran> {
  const id = (++number).toString(16).padStart(30, '0');
  const { model, options } = catalog.prepare(request);
  const stored = { ...options };
  if (typeof options.image === 'string') {
    await data.writeInput(id, 'image', Buffer.from(options.image, 'base64'));
    stored.image = { file: 'image' };
  }
  const job: Job = {
    ...{ id, type: request.type, model, status: 'running', options: stored, previews: {}, client: 'own' },
    ...{ extra: null, created: new Date().toISOString(), attempts: 1, images: [], warnings: [] },
  };
  const events: NewEvent[] = [];
  const never = new AbortController().signal;
  const outcome = await runJob(job, catalog, {
    ...{ data, signal: never, finish: never, skip: () => never },
    emit: (event) => events.push(event),
    ...control,
  });
  return { ...outcome, events, job };
}

async function pixels({ job, images }: Ran): Promise<Buffer> {
  return sharp(await data.readResult(job.id, images[0]!.name))
    .raw()
    .toBuffer();
}

describe('VQGAN jobs', () => {
  const drawing = async (side: number) => (await pngOf(ball(side))).toString('base64');

  it('reconstruct an image and report its losses', async () => {
    const ran = await run({ type: 'reconstruct', options: { image: await drawing(32) } });
    expect(ran.job.model).toBe('writer');
    await using pipeline = await VqganPipeline.load(path, { backend: 'cpu', threads: 1 });
    const { image, psnr, codes, usage } = await pipeline.reconstruct(await pngOf(ball(32)));
    expect(ran.result).toEqual({ psnr, codes, usage });
    expect(ran.images).toMatchObject([{ name: '0.png', width: 32, height: 32 }]);
    expect(await pixels(ran)).toEqual(Buffer.from(image.data));
  });

  it('sketch with a seed, report progress per code index and send a preview', async () => {
    const ran = await run({ type: 'sketch', options: { image: await drawing(16), seed: 3 } });
    await using pipeline = await VqganPipeline.load(path, { backend: 'cpu', threads: 1 });
    const made = await pipeline.sketch(await pngOf(ball(16)), { seed: 3 }).result;
    expect(ran.result).toMatchObject({ codes: made.codes, usage: made.usage });
    expect(await pixels(ran)).toEqual(Buffer.from(made.image.data));
    const steps = ran.events.flatMap((event) =>
      event.type === 'progress' && event.data.phase === 'codes' ? [event.data] : [],
    );
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 16 }, (_, i) => i + 1));
    expect(steps.at(-1)).toMatchObject({ steps: 16, left: 0 });
    expect(ran.events.some(({ type }) => type === 'preview')).toBe(true);
    expect(ran.events.at(-1)).toMatchObject({ type: 'image', data: { index: 0, seed: 3 } });
  });

  it('sample, and keep the incomplete image on finish', async () => {
    const whole = await run({ type: 'sample', options: { seed: 5 } });
    expect((whole.result as { codes: number[][] }).codes.flat()).toHaveLength(16);
    const finished = await run({ type: 'sample', options: { seed: 5 } }, { finish: AbortSignal.abort() });
    const { codes } = finished.result as { codes: (number | null)[][] };
    expect(codes.flat().filter((code) => code !== null)).toHaveLength(1);
    expect(finished.images).toMatchObject([{ width: 16, height: 16 }]);
  });

  it('stop when they are cancelled', async () => {
    const stopped = run({ type: 'sample', options: {} }, { signal: AbortSignal.abort() });
    await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' });
  });
});

describe('model of a request', () => {
  const prepare = (type: JobType, model?: string) => () =>
    catalog.prepare({ type, options: { image: 'eA==' }, ...(model ? { model } : {}) });

  it('has its kind detected from the files', async () => {
    expect(await modelKind(starterModel)).toBe('diffusion');
    expect(await modelKind(path)).toBe('codes');
    expect(catalog.models.map(({ kind }) => kind)).toEqual(['diffusion', 'codes', undefined]);
  });

  it('defaults to the first model of the matching kind', () => {
    expect(catalog.prepare({ type: 'text-to-image', options: {} }).model).toBe('starter');
    expect(prepare('reconstruct')().model).toBe('writer');
    expect(prepare('reconstruct', 'starter')).toThrowError(/starter cannot run reconstruct jobs; use writer/);
    expect(() => catalog.prepare({ type: 'text-to-image', model: 'writer', options: {} })).toThrowError(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    );
    expect(prepare('sketch', 'none')).toThrowError(expect.objectContaining({ code: 'MODEL_NOT_FOUND' }));
  });

  it('fails with the reason if the model cannot be read', async () => {
    await expect(run({ type: 'sample', model: 'gone', options: {} })).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
    });
  });

  it('leads to an error that names the invalid option', () => {
    const wrong = (type: JobType, options: JobRequest['options']) => () => catalog.prepare({ type, options });
    expect(wrong('sample', { topK: 0 })).toThrowError(/topK/);
    expect(wrong('sample', { steps: 3 })).toThrowError(/steps/);
    expect(wrong('sketch', {})).toThrowError(/image/);
    expect(wrong('sample', { width: 4096, height: 64 })).toThrowError(/width/);
  });

  it('is one of the two bundled models, or of those in a folder', async () => {
    const names = (await configuredModels({})).map(({ name }) => name);
    expect(names).toEqual(existsSync(sketchStarter) ? ['starter', 'sketch'] : ['starter']);
    const found = await configuredModels({ models: folder, model: [`first=${starterModel}`] });
    expect(found.map(({ name }) => name)).toEqual(['first', 'writer', 'starter', 'sketch']);
  });
});
