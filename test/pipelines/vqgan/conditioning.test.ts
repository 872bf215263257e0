/**
 * Whole taming checkpoints with tiny networks: the sequence that each condition puts before the code indices,
 * through the pipeline.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { openVqganModel } from '../../../lib/families/shared/vqgan/open-vqgan.js';
import { LatentTransformer } from '../../../lib/modules/latent-transformer.js';
import type { DrawOptions, SampleOptions } from '../../../lib/pipelines/vqgan/sample-options.js';
import { VqganPipeline } from '../../../lib/pipelines/vqgan/vqgan-pipeline.js';
import { coordinateIndices } from '../../../lib/sampling/autoregressive/coordinates.js';
import { codeOrder } from '../../../lib/sampling/autoregressive/order.js';
import { sampleCodeIndices } from '../../../lib/sampling/autoregressive/sample.js';
import { slideCodeIndices } from '../../../lib/sampling/autoregressive/slide.js';
import { scratch, tensorsOf, writeCheckpoint } from '../../support/vqgan/autoencoders.js';
import { autoencoders, firstStage, transformer, writeWriter } from '../../support/vqgan/checkpoint.js';
import { ball, painted } from '../../support/vqgan/drawings.js';

const folder = scratch();
const SIDE = 4;
const open: VqganPipeline[] = [];
afterAll(() => Promise.all(open.map((pipeline) => pipeline.dispose())));

async function load(path: string): Promise<VqganPipeline> {
  const pipeline = await VqganPipeline.load(path, { backend: 'cpu', threads: 1 });
  open.push(pipeline);
  return pipeline;
}

const written = async (pipeline: VqganPipeline, options: SampleOptions) =>
  (await pipeline.sample(options).result).codes.flat();

/** Returns the indices sampled after this prefix. */
async function codesAfter(
  path: string,
  condition: readonly number[],
  seed: number,
  order?: Int32Array | null,
) {
  const { transformer: source } = await openVqganModel(path);
  await using model = await LatentTransformer.load(source!, { backend: 'cpu', threads: 1 });
  const options = { condition: [condition], total: SIDE ** 2, seeds: [seed], topK: 250 };
  const steps = sampleCodeIndices(model, { ...options, ...(order ? { order } : {}) });
  for (;;) {
    const next = await steps.next();
    if (next.done) return [...next.value[0]!];
  }
}

describe('the prefix of the code indices', () => {
  it('is only the start code without a condition', async () => {
    const path = writeWriter(`${folder}/none`, 16, {
      cond_stage_config: '__is_unconditional__',
      sos_token: 3,
    });
    const pipeline = await load(path);
    expect(pipeline.info).toMatchObject({ condition: 'none', size: 16, factor: 4, vocabulary: 128 });
    expect(await written(pipeline, { seed: 1 })).toEqual(await codesAfter(path, [3], 1));
    expect(() => pipeline.sketch(ball(16))).toThrowError(
      expect.objectContaining({
        code: 'UNSUPPORTED_MODEL',
        message: expect.stringContaining('not conditioned'),
      }),
    );
    expect(() => pipeline.sample({ class: 1 })).toThrowError(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    );
  });

  it('is limited to the image size of training, even if the transformer has a longer window', async () => {
    const path = writeWriter(`${folder}/larger`, 512, { cond_stage_config: '__is_unconditional__' });
    const { resolution } = await openVqganModel(path);
    expect(resolution).toBe(64);
    expect((await load(path)).info.size).toBe(64);
  });

  it('is a class', async () => {
    const labels = { target: 'taming.modules.util.Labelator', params: { n_classes: 20 } };
    const path = writeWriter(`${folder}/class`, 17, { cond_stage_config: labels });
    const pipeline = await load(path);
    expect(pipeline.info).toMatchObject({ condition: 'class', classes: 20 });
    expect(await written(pipeline, { seed: 1, class: 17 })).toEqual(await codesAfter(path, [17], 1));
    for (const options of [{}, { class: 20 }, { class: -1 }])
      expect(() => pipeline.sample(options)).toThrowError(
        expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining('class') }),
      );
    await expect(pipeline.score(ball(16))).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    expect((await pipeline.score(ball(16), { class: 4 })).logLikelihood!.condition).toBe('class');
  });

  it('contains the coordinates of each code index', async () => {
    const coordinates = {
      target: 'taming.models.cond_transformer.CoordStage',
      params: { n_embed: 64, down_factor: 4 },
    };
    const path = writeWriter(`${folder}/coordinates`, 32, { cond_stage_config: coordinates });
    const before = [...coordinateIndices(SIDE, SIDE, 4, 64)];
    expect(await written(await load(path), { seed: 2 })).toEqual(await codesAfter(path, before, 2));
  });

  it('contains the condition image as indices of the first stage', async () => {
    const path = writeWriter(`${folder}/own`, 32, { cond_stage_config: '__is_first_stage__' });
    const pipeline = await load(path);
    const drawing = ball(16);
    const before = (await pipeline.codes(drawing)).codes.flat();
    const { codes } = await pipeline.sketch(drawing, { seed: 3 }).result;
    expect(codes.flat()).toEqual(await codesAfter(path, before, 3));
  });

  it('contains the condition image as indices of another autoencoder, resized first', async () => {
    const prefix = 'cond_stage_model.';
    const stage = {
      target: 'ldm.models.autoencoder.VQModel',
      params: autoencoders['vq-noattn']!.about.params,
    };
    const path = writeWriter(
      `${folder}/other`,
      32,
      { cond_stage_config: stage, downsample_cond_size: 8 },
      tensorsOf('vq-noattn', autoencoders['vq-noattn']!, { prefix }),
    );
    const drawing = ball(16);
    const small = painted(8, 8, (x, y) => {
      const at = (Math.floor(y) * 2 * 16 + Math.floor(x) * 2) * 3;
      return [drawing.data[at]!, drawing.data[at + 1]!, drawing.data[at + 2]!];
    });
    const alone = tensorsOf('vq-noattn', autoencoders['vq-noattn']!);
    const own = await load(writeCheckpoint(`${folder}/alone`, alone, stage));
    const before = (await own.codes(small)).codes.flat();
    const { codes } = await (await load(path)).sketch(drawing, { seed: 4 }).result;
    expect(codes.flat()).toEqual(await codesAfter(path, before, 4));
  });
});

describe('sampling', () => {
  it("uses the model's order", async () => {
    const permuter = {
      target: 'taming.modules.transformer.permuter.SpiralOut',
      params: { H: SIDE, W: SIDE },
    };
    const path = writeWriter(`${folder}/spiral`, 16, {
      cond_stage_config: '__is_unconditional__',
      permuter_config: permuter,
    });
    const pipeline = await load(path);
    const order = codeOrder('spiral_out', SIDE, SIDE);
    expect(await written(pipeline, { seed: 5 })).toEqual(await codesAfter(path, [0], 5, order));
    await expect(pipeline.sample({ seed: 5, width: 32, height: 32 }).result).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
  });

  it('uses a sliding window for larger images, with the matching part of the condition', async () => {
    const path = writeWriter(`${folder}/slide`, 32, { cond_stage_config: '__is_first_stage__' });
    const pipeline = await load(path);
    const drawing = ball(24, 20);
    const before = (await pipeline.codes(drawing)).codes.flat();
    const size: DrawOptions = { seed: 6, width: 24, height: 20 };
    const { codes } = await pipeline.sketch(drawing, size).result;
    const { transformer: source } = await openVqganModel(path);
    await using model = await LatentTransformer.load(source!, { backend: 'cpu', threads: 1 });
    const condition = { kind: 'grid', codes: [before] } as const;
    const steps = slideCodeIndices(model, {
      height: 5,
      width: 6,
      side: SIDE,
      condition,
      seeds: [6],
      topK: 250,
    });
    let next = await steps.next();
    while (!next.done) next = await steps.next();
    expect(codes.flat()).toEqual([...next.value[0]!]);
  });
});

describe('an incomplete checkpoint', () => {
  it('without a codebook reconstructs and rejects calls for code indices', async () => {
    const { target, params } = autoencoders['kl-f16']!.about;
    const tensors = tensorsOf('kl-f16', autoencoders['kl-f16']!);
    const pipeline = await load(writeCheckpoint(`${folder}/kl`, tensors, { target, params }));
    const { image, codes, usage } = await pipeline.reconstruct(ball(32));
    expect([image.width, codes, usage]).toEqual([32, null, null]);
    await expect(pipeline.codes(ball(32))).rejects.toMatchObject({ code: 'UNSUPPORTED_MODEL' });
    await expect(pipeline.decodeCodes([[1]])).rejects.toMatchObject({ code: 'UNSUPPORTED_MODEL' });
  });

  it('without a transformer scores without a likelihood and rejects sampling', async () => {
    const tensors = tensorsOf('vqgan', autoencoders.vqgan!);
    const pipeline = await load(writeCheckpoint(`${folder}/vq`, tensors, firstStage));
    expect(pipeline.info).toMatchObject({ condition: null, size: null, discriminator: false });
    const { logLikelihood, withoutLikelihood, patches, heatMap, leftOut } = await pipeline.score(ball(32));
    expect([logLikelihood, patches, heatMap]).toEqual([null, null, null]);
    expect(withoutLikelihood).toContain('alone');
    expect(leftOut.join()).toContain('loss.discriminator');
    expect(() => pipeline.sample()).toThrowError(expect.objectContaining({ code: 'UNSUPPORTED_MODEL' }));
  });

  it('without YAML still supports what does not need it, and reports what is missing otherwise', async () => {
    const tensors = tensorsOf('vqgan', autoencoders.vqgan!, { prefix: 'first_stage_model.' });
    for (const [key, value] of transformer(16)) tensors.set(key, value);
    const pipeline = await load(writeCheckpoint(`${folder}/bare`, tensors, null));
    expect((await pipeline.codes(ball(16))).codes).toHaveLength(SIDE);
    expect(() => pipeline.sample()).toThrowError(
      expect.objectContaining({ code: 'UNSUPPORTED_MODEL', message: expect.stringContaining('n_head') }),
    );
  });
});
