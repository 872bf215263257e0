import { getEventListeners } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { aborted } from '../../../lib/errors.js';
import { Autoencoder } from '../../../lib/modules/autoencoder.js';
import { UNet } from '../../../lib/modules/unet.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../../lib/pipelines/options.js';
import { samplerNames } from '../../../lib/sampling/samplers/index.js';
import type { RgbImage } from '../../../lib/tensor/render.js';
import type { Tensor } from '../../../lib/tensor/tensor.js';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await Pipeline.load(undefined, { threads: 1 });
});
afterAll(() => pipeline.dispose());
afterEach(() => vi.restoreAllMocks());

const APPLE: GenerateOptions = { prompt: 'a red apple', seed: 3, steps: 6, width: 64, height: 64 };
const SIDE = 64 / 8;
const red = {
  data: new Uint8Array(64 * 64 * 3).map((_, i) => (i % 3 === 0 ? 200 : 40)),
  width: 64,
  height: 64,
};

/** Aborts a signal as evaluation number `at` of the U-Net begins, and counts the evaluations. */
function abortingAt(at: number, reason?: unknown) {
  const finish = new AbortController();
  const evaluate = UNet.prototype.forward;
  const spy = vi.spyOn(UNet.prototype, 'forward').mockImplementation(function (this: UNet, ...given) {
    if (spy.mock.calls.length === at) queueMicrotask(() => finish.abort(reason));
    return evaluate.apply(this, given);
  });
  return { finish: finish.signal, evaluations: () => spy.mock.calls.length };
}

/**
 * Makes each decoding of a whole latent wait until it is stopped or for some milliseconds; previews are
 * unaffected.
 */
function slowDecoding(milliseconds: number) {
  const decode = Autoencoder.prototype.decode;
  const seen = { begun: 0, ended: 0 };
  vi.spyOn(Autoencoder.prototype, 'decode').mockImplementation(async function (
    this: Autoencoder,
    latent: Tensor,
    options = {},
  ) {
    if (latent.shape[2]! < SIDE) return decode.call(this, latent, options);
    seen.begun++;
    await new Promise<void>((resolve, reject) => {
      if (options.signal?.aborted) reject(aborted());
      options.signal?.addEventListener('abort', () => reject(aborted()));
      if (Number.isFinite(milliseconds)) setTimeout(resolve, milliseconds);
    });
    seen.ended++;
    return decode.call(this, latent, options);
  });
  return seen;
}

function difference(a: RgbImage, b: RgbImage): number {
  expect([a.width, a.height]).toEqual([b.width, b.height]);
  return a.data.reduce((sum, value, i) => sum + Math.abs(value - b.data[i]!), 0) / a.data.length;
}

describe('finish', () => {
  it('stops the running evaluation and decodes the last x0', async () => {
    const { finish, evaluations } = abortingAt(4);
    const stream = pipeline.stream({ ...APPLE, sampler: 'euler', finish });
    const seen: Tensor[] = [];
    for await (const step of stream) seen.push(step.x0.clone());
    const [image] = (await stream.result).images;
    expect([seen.length, evaluations()]).toEqual([3, 4]);
    expect(image!.latent.data).toEqual(seen[2]!.data);
    const [decoded] = await pipeline.decode(seen[2]!);
    expect(image!.data).toEqual(decoded!.data);
  });

  it.each(samplerNames)('ends %s between two evaluations, even within a step', async (sampler) => {
    const { finish, evaluations } = abortingAt(3);
    const { images } = await pipeline.generate({ ...APPLE, width: 32, height: 32, sampler, finish });
    expect(images).toHaveLength(1);
    expect(evaluations()).toBe(3);
  });

  it('keeps all images of a batch and starts no further batch', async () => {
    const { finish, evaluations } = abortingAt(3);
    const { images } = await pipeline.generate({ ...APPLE, count: 6, batch: 3, sampler: 'euler', finish });
    expect(images.map(({ seed }) => seed)).toEqual([3, 4, 5]);
    expect(evaluations()).toBe(3);
  });

  it('omits a batch that was never evaluated if other images are finished', async () => {
    const whole = await pipeline.generate({ ...APPLE, count: 2, batch: 2, steps: 2, sampler: 'euler' });
    const { finish } = abortingAt(3);
    const options = { ...APPLE, count: 4, batch: 2, steps: 2, sampler: 'euler', finish };
    const { images } = await pipeline.generate(options);
    expect(images.map(({ data }) => data)).toEqual(whole.images.map(({ data }) => data));
  });

  it('returns an image if nothing was evaluated: of noise, or the initial image', async () => {
    const finish = AbortSignal.abort();
    const spy = vi.spyOn(UNet.prototype, 'forward');
    const text = await pipeline.generate({ ...APPLE, count: 2, finish });
    expect(text.images.map(({ width, height }) => [width, height])).toEqual([
      [64, 64],
      [64, 64],
    ]);
    const image = await pipeline.generate({ ...APPLE, init: red, finish });
    const [same] = await pipeline.decode(await pipeline.encode(red));
    expect(image.images[0]!.data).toEqual(same!.data);
    expect(spy).not.toHaveBeenCalled();
  });

  it.each(['latent', 'lanczos'] as const)(
    'returns the first pass of hires (%s) if the second was never evaluated',
    async (upscaler) => {
      const first = await pipeline.generate({ ...APPLE, steps: 2, sampler: 'euler' });
      const { finish } = abortingAt(3);
      const hires = { scale: 1.5, upscaler };
      const { images } = await pipeline.generate({ ...APPLE, steps: 2, sampler: 'euler', hires, finish });
      expect(images[0]!.data).toEqual(first.images[0]!.data);
    },
  );

  it('stops the upscaling between the passes of hires', async () => {
    const finish = new AbortController();
    const encode = vi.spyOn(Autoencoder.prototype, 'encode').mockImplementation(async () => {
      finish.abort();
      return new Promise<never>(() => undefined);
    });
    const hires = { scale: 2, upscaler: 'lanczos' } as const;
    const { images } = await pipeline.generate({
      ...APPLE,
      count: 3,
      steps: 2,
      hires,
      finish: finish.signal,
    });
    expect(images.map(({ width }) => width)).toEqual([64, 64, 64]);
    expect(encode).toHaveBeenCalledTimes(1);
  });

  it('returns the second pass at its size once it was evaluated', async () => {
    const { finish } = abortingAt(4);
    const options = { ...APPLE, steps: 2, sampler: 'euler', hires: { scale: 1.5, steps: 4 }, finish };
    const { images } = await pipeline.generate(options);
    expect([images[0]!.width, images[0]!.height]).toEqual([96, 96]);
  });

  it('has lower precedence than signal', async () => {
    const signal = AbortSignal.abort();
    await expect(pipeline.generate({ ...APPLE, finish: signal, signal })).rejects.toMatchObject({
      code: 'ABORTED',
    });
  });

  it('decodes the first image of an unfinished batch in full, and slow ones as previews', async () => {
    const decoding = slowDecoding(250);
    const { finish } = abortingAt(3);
    const { images } = await pipeline.generate({ ...APPLE, count: 4, sampler: 'euler', finish });
    expect(images).toHaveLength(4);
    expect(decoding.ended).toBeGreaterThanOrEqual(1);
    expect(decoding.ended).toBeLessThan(4);
    const [whole] = await pipeline.decode(images[0]!.latent);
    expect(images[0]!.data).toEqual(whole!.data);
    for (const { width, height } of images) expect([width, height]).toEqual([64, 64]);
  });

  it('decodes a finished batch in full, however long it takes', async () => {
    const decoding = slowDecoding(200);
    const finish = new AbortController();
    const onProgress: GenerateOptions['onProgress'] = ({ phase }) => {
      if (phase === 'decode') finish.abort();
    };
    const options = { ...APPLE, count: 4, steps: 1, finish: finish.signal, onProgress };
    const { images } = await pipeline.generate(options);
    expect([images.length, decoding.ended]).toEqual([4, 4]);
  });
});

describe("signal with the reason 'finish'", () => {
  const four = { ...APPLE, count: 4, batch: 2, sampler: 'euler' };

  it('returns what the option finish returns', async () => {
    const wanted = await pipeline.generate({ ...four, finish: abortingAt(8).finish });
    vi.restoreAllMocks();
    const { finish: signal, evaluations } = abortingAt(8, 'finish');
    const { images } = await pipeline.generate({ ...four, signal });
    expect(evaluations()).toBe(8);
    expect(images.map(({ seed }) => seed)).toEqual([3, 4, 5, 6]);
    expect(images.map(({ data }) => data)).toEqual(wanted.images.map(({ data }) => data));
  });

  it('ends the steps of a stream and resolves its result', async () => {
    const stream = pipeline.stream({ ...four, signal: abortingAt(3, 'finish').finish });
    let steps = 0;
    for await (const _ of stream) steps++;
    expect(steps).toBe(2);
    expect((await stream.result).images).toHaveLength(2);
  });

  it('skips the remaining prompts of a list', async () => {
    const signal = abortingAt(9, 'finish').finish;
    const prompt = ['a red apple', 'a pear', 'a plum'];
    const { images } = await pipeline.generate({ ...APPLE, prompt, sampler: 'euler', signal });
    expect(images).toHaveLength(2);
  });

  it('acts together with the option finish, through AbortSignal.any, and before the call', async () => {
    const own = abortingAt(3).finish;
    const { images } = await pipeline.generate({
      ...four,
      finish: own,
      signal: new AbortController().signal,
    });
    expect(images).toHaveLength(2);
    vi.restoreAllMocks();
    const any = AbortSignal.any([abortingAt(3, 'finish').finish, AbortSignal.timeout(60_000)]);
    expect((await pipeline.generate({ ...four, signal: any })).images).toHaveLength(2);
    const signal = AbortSignal.abort('finish');
    expect((await pipeline.generate({ ...four, count: 1, signal })).images).toHaveLength(1);
  });

  it.each(['stop', 'Finish', undefined, new Error('finish')])(
    'is not any other reason: %s rejects with ABORTED',
    async (reason) => {
      const { finish: signal } = abortingAt(3, reason);
      const error = await pipeline.generate({ ...four, signal }).catch((thrown) => thrown);
      expect(error).toMatchObject({ code: 'ABORTED', cause: signal.reason });
    },
  );

  it('leaves no listener behind', async () => {
    const { signal } = new AbortController();
    await pipeline.generate({ ...APPLE, steps: 1, signal });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('hurry', () => {
  it('stops a running decoding and returns previews that resemble the images', async () => {
    const whole = (await pipeline.generate({ ...APPLE, count: 2, sampler: 'euler' })).images[0]!;
    const decoding = slowDecoding(Number.POSITIVE_INFINITY);
    const hurry = new AbortController();
    const onProgress: GenerateOptions['onProgress'] = ({ phase }) => {
      if (phase === 'decode') setTimeout(() => hurry.abort(), 20);
    };
    const options = { ...APPLE, count: 2, sampler: 'euler', hurry: hurry.signal, onProgress };
    const { images } = await pipeline.generate(options);
    expect([images.length, decoding.ended]).toEqual([2, 0]);
    const grey = { ...whole, data: new Uint8Array(whole.data.length).fill(128) };
    expect(difference(images[0]!, whole)).toBeLessThan(difference(grey, whole) / 2);
    expect(images[0]!.latent.data).toEqual(whole.latent.data);
  });

  it('pastes the preview of a masked part into its image', async () => {
    const decode = vi.spyOn(Autoencoder.prototype, 'decode');
    const mask = { data: new Uint8Array(96 * 80), width: 96, height: 80, channels: 1 as const };
    for (let y = 20; y < 40; y++) mask.data.fill(255, y * 96 + 20, y * 96 + 50);
    const init = { data: new Uint8Array(96 * 80 * 3).fill(90), width: 96, height: 80 };
    const now = AbortSignal.abort();
    const masked = { init, mask, onlyMasked: true, maskBlur: 0, finish: now, hurry: now };
    const { images } = await pipeline.generate({ ...APPLE, ...masked });
    expect([images[0]!.width, images[0]!.height]).toEqual([96, 80]);
    expect(images[0]!.data[0]).toBe(90);
    const whole = decode.mock.calls.filter(
      ([latent, how]) => latent.shape[2] === SIDE && !how?.signal?.aborted,
    );
    expect(whole).toEqual([]);
  });
});
