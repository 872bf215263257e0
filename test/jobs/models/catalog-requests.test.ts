import { describe, expect, it } from 'vitest';
import { Catalog, type ConfiguredModel, parseModel } from '../../../lib/jobs/models/catalog.js';
import type { JobRequest } from '../../../lib/jobs/types.js';
import { serverLimits } from '../../../lib/options/limits.js';

const diffusion: ConfiguredModel = { name: 'sd', path: '/sd.safetensors', kind: 'diffusion' };
const codes: ConfiguredModel = { name: 'vq', path: '/vq.safetensors', kind: 'codes' };
const open = (...models: ConfiguredModel[]) => Catalog.open(models, {}, serverLimits);
const request = (changes: Partial<JobRequest> = {}): JobRequest => ({
  ...{ type: 'text-to-image', options: { prompt: 'a red apple' } },
  ...changes,
});

describe('parseModel', () => {
  it.each([
    ['photo=/models/sd15.safetensors', { name: 'photo', path: '/models/sd15.safetensors' }],
    ['/models/sd15.safetensors', { name: 'sd15', path: '/models/sd15.safetensors' }],
    ['owner/name', { name: 'owner/name', path: 'owner/name' }],
    ['a=b=c', { name: 'a', path: 'b=c' }],
  ])('reads %s', (text, model) => {
    expect(parseModel(text)).toEqual(model);
  });

  it.each(['=path', 'name=', '='])('rejects %j, which lacks a name or a path', (text) => {
    expect(() => parseModel(text)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });
});

describe('a catalog', () => {
  it('rejects two models of the same name, and no model', async () => {
    await expect(open(diffusion, diffusion)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await expect(open()).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });

  it('uses the first model that supports the type of job, and bundled models last', async () => {
    const catalog = await open(codes, { ...diffusion, bundled: true }, { ...diffusion, name: 'mine' });
    expect(catalog.defaultModel).toBe('mine');
    expect(catalog.prepare(request({ type: 'sample', options: {} })).model).toBe('vq');
  });

  it('offers a model whose file could not be read for every type of job', async () => {
    const catalog = await open({ name: 'broken', path: '/does/not/exist' });
    expect(catalog.prepare(request()).model).toBe('broken');
    expect(catalog.prepare(request({ type: 'sample', options: {} })).model).toBe('broken');
  });

  it('names no default model for prompts if only VQGAN models are configured', async () => {
    const catalog = await open(codes);
    expect(catalog.defaultFor('text-to-image')).toBeUndefined();
    expect(() => catalog.prepare(request())).toThrow(expect.objectContaining({ code: 'MODEL_NOT_FOUND' }));
    // A request that names the model is told why it cannot be used.
    expect(() => catalog.prepare(request({ model: 'vq' }))).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining('vq') }),
    );
  });

  it('names the models that support the type of job if a request names another one', async () => {
    const catalog = await open(diffusion, codes);
    expect(() => catalog.prepare(request({ model: 'vq' }))).toThrow(/\bsd\b/);
    expect(() => catalog.prepare(request({ model: 'none' }))).toThrow(
      expect.objectContaining({ code: 'MODEL_NOT_FOUND' }),
    );
  });

  it('rejects an unknown type of job', async () => {
    const catalog = await open(diffusion);
    const unknown = JSON.parse('{ "type": "video", "options": {} }') as JobRequest;
    expect(() => catalog.prepare(unknown)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });

  it('replaces random seeds by numbers, and adds no seed to jobs without one', async () => {
    const catalog = await open(diffusion, codes);
    const options = { prompt: '', seed: -1, subseed: -1, subseedStrength: 0.5 };
    const { options: settled } = catalog.prepare(request({ options }));
    for (const seed of [settled.seed, settled.subseed]) expect(seed).toBeGreaterThanOrEqual(0);
    expect(catalog.prepare(request({ options: { prompt: '', seed: 5 } })).options).toMatchObject({ seed: 5 });
    const image = 'AAAA';
    expect(catalog.prepare(request({ type: 'reconstruct', options: { image } })).options).not.toHaveProperty(
      'seed',
    );
  });
});
