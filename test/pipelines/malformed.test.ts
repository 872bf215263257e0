/**
 * Every public function and method rejects malformed arguments with a typed error, never with a bare
 * TypeError or RangeError.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import * as api from '../../lib/index.js';
import { failures, tryJunk } from '../support/malformed-values.js';

const { VqganPipeline, Pipeline, Tensor } = api;
const folder = mkdtempSync(join(tmpdir(), 'safelight-malformed-'));
const loading = { threads: 1 } as const;
let pipeline: api.Pipeline;
let codes: api.VqganPipeline;
let source: api.ModelSource;
let codesSource: api.VqganModelSource;
beforeAll(async () => {
  pipeline = await Pipeline.load(undefined, loading);
  codes = await VqganPipeline.load(undefined, loading);
  source = await api.openModel(api.starterModel);
  codesSource = await api.openVqganModel(api.sketchStarter);
});
afterAll(async () => {
  await pipeline.dispose();
  await codes.dispose();
  rmSync(folder, { recursive: true });
});

afterEach(() => expect(failures.splice(0)).toEqual([]));

const small = { prompt: 'a', width: 64, height: 64, steps: 1, seed: 1 };
const image = () => ({ data: new Uint8Array(64 * 64 * 3), width: 64, height: 64 });
const latent = () => Tensor.zeros([1, 4, 8, 8]);
const signal = () => new AbortController().signal;
const onProgress = () => undefined;

describe('Pipeline', () => {
  it('throws typed errors from load', async () => {
    const options = () => ({
      ...loading,
      parts: [],
      backend: 'cpu',
      storage: 'f32',
      memory: 'balanced',
      stockOps: false,
      variant: 'fp16',
      vae: undefined,
      prediction: 'v',
      ema: false,
      config: undefined,
      signal: signal(),
      onProgress,
    });
    await tryJunk(
      'Pipeline.load',
      Pipeline.load.bind(Pipeline),
      () => [api.starterModel, options()],
      (one) => (one as api.Pipeline).dispose(),
    );
  });

  it('throws typed errors from generate, stream and attentionMap', async () => {
    const options = () => ({
      ...small,
      negative: '',
      class: undefined,
      count: 1,
      batch: 1,
      clipSkip: 1,
      emphasis: 'original',
      rng: 'cpu',
      strength: 0.5,
      posterior: 'mean',
      resizeMode: 'resize',
      initialNoiseMultiplier: 1,
      taps: [],
      signal: signal(),
      finish: signal(),
      onProgress,
      subseed: 1,
      subseedStrength: 0,
      seedResizeFrom: { width: 64, height: 64 },
      etaNoiseSeedDelta: 0,
      cfg: 1,
      sampler: 'euler',
      schedule: 'karras',
      eta: 1,
      sChurn: 0,
      sTmin: 0,
      sTmax: 1,
      sNoise: 1,
      discardPenultimate: false,
      sigmaMin: 0.1,
      sigmaMax: 10,
      rho: 7,
      guidanceRescale: 0,
      guidanceInterval: [0, 1],
      hires: undefined,
      deepCache: undefined,
      init: undefined,
      mask: undefined,
      noise: undefined,
      latent: undefined,
      embeddings: undefined,
      sigmas: undefined,
      predictions: false,
      edit: undefined,
    });
    await tryJunk('generate', pipeline.generate.bind(pipeline), () => [options()]);
    await tryJunk('generate from an image', pipeline.generate.bind(pipeline), () => [
      {
        ...small,
        init: image(),
        mask: image(),
        maskBlur: 1,
        maskInvert: false,
        maskRound: true,
        fill: 'fill',
        onlyMasked: false,
        padding: 1,
      },
    ]);
    await tryJunk(
      'stream',
      pipeline.stream.bind(pipeline),
      () => [{ ...small }],
      (one) => (one as api.GenerationStream).result,
    );
    await tryJunk('attentionMap', pipeline.attentionMap.bind(pipeline), () => [
      { ...small, prompt: 'apple', word: 'apple' },
    ]);
  }, 240_000);

  it('throws typed errors for nested options', async () => {
    const withHires = (hires: unknown) => pipeline.generate({ ...small, hires: hires as api.HiresOptions });
    const hires = () => ({
      scale: 1.5,
      width: undefined,
      height: undefined,
      steps: 1,
      strength: 0.5,
      upscaler: 'latent',
      prompt: 'b',
      negative: '',
      sampler: 'euler',
      schedule: 'karras',
      discardPenultimate: false,
    });
    await tryJunk('generate with hires', withHires as never, () => [hires()]);
    const withCache = (deepCache: unknown) =>
      pipeline.generate({ ...small, deepCache: deepCache as api.DeepCacheOptions });
    await tryJunk('generate with deepCache', withCache as never, () => [{ interval: 2, branch: 0 }]);
    const withGiven = (given: object) => pipeline.generate({ width: 64, height: 64, ...given });
    await tryJunk('generate with sigmas', withGiven as never, () => [{ prompt: 'a', sigmas: [2] }]);
    const positive = await pipeline.encodeText('a');
    const embedded = (embeddings: unknown) => withGiven({ embeddings, steps: 1 });
    await tryJunk('generate with embeddings', embedded as never, () => [{ positive, negative: positive }]);
    const edited = (edit: unknown) => withGiven({ prompt: 'a', steps: 1, edit });
    await tryJunk('generate with edit', edited as never, () => [{ conv_in: () => undefined }]);
    const from = (seedResizeFrom: unknown) =>
      pipeline.generate({ ...small, seedResizeFrom: seedResizeFrom as never });
    await tryJunk('generate with seedResizeFrom', from as never, () => [{ width: 64, height: 64 }]);
  }, 120_000);

  it('throws typed errors from its stages', async () => {
    const positive = await pipeline.encodeText('a');
    await tryJunk('tokenize', pipeline.tokenize.bind(pipeline), () => ['a', { raw: true }]);
    await tryJunk('encodeText', pipeline.encodeText.bind(pipeline), () => [
      'a',
      { clipSkip: 1, emphasis: 'none', negative: false, signal: signal() },
    ]);
    await tryJunk('encode', pipeline.encode.bind(pipeline), () => [
      image(),
      { width: 64, height: 64, posterior: 'sample', seed: 1, rng: 'cpu', signal: signal() },
    ]);
    await tryJunk('decode', pipeline.decode.bind(pipeline), () => [
      latent(),
      { signal: signal(), onProgress },
    ]);
    await tryJunk('denoise', pipeline.denoise.bind(pipeline), () => [
      {
        positive,
        negative: positive,
        width: 64,
        height: 64,
        steps: 1,
        seed: 1,
        count: 1,
        rng: 'cpu',
        latent: latent(),
        strength: 0.5,
        taps: [],
        onStep: onProgress,
        signal: signal(),
        onProgress,
      },
    ]);
    const withEncoding = (given: unknown) =>
      pipeline.denoise({ positive: given as api.Encoding, width: 64, height: 64, steps: 1 });
    await tryJunk('denoise with an encoding', withEncoding as never, () =>
      [{ ...positive }].map(({ context, chunks }) => ({ context, chunks })),
    );
    await tryJunk('nodes', pipeline.nodes.bind(pipeline), () => [
      { module: 'unet', width: 64, height: 64, batch: 1, chunks: 1 },
    ]);
    await tryJunk('tap a text encoder', pipeline.tap.bind(pipeline), () => [
      { module: 'text_encoder', names: ['text_model.final_layer_norm'], prompt: 'a', signal: signal() },
    ]);
    await tryJunk('tap the encoder', pipeline.tap.bind(pipeline), () => [
      { module: 'encoder', names: ['encoder.mid_block'], image: image(), width: 64, height: 64 },
    ]);
    await tryJunk('tap the decoder', pipeline.tap.bind(pipeline), () => [
      { module: 'decoder', names: ['decoder.mid_block'], latent: latent() },
    ]);
  }, 240_000);
});

describe('VqganPipeline', () => {
  it('throws typed errors from load', async () => {
    const options = () => ({
      ...loading,
      backend: 'cpu',
      storage: 'f32',
      memory: 'balanced',
      stockOps: false,
      variant: undefined,
      ema: false,
      config: undefined,
      signal: signal(),
      onProgress,
    });
    await tryJunk(
      'VqganPipeline.load',
      VqganPipeline.load.bind(VqganPipeline),
      () => [api.sketchStarter, options()],
      (one) => (one as api.VqganPipeline).dispose(),
    );
  });

  it('throws typed errors from its methods', async () => {
    const size = () => ({ width: 64, height: 64, signal: signal(), onProgress });
    const grid = (await codes.codes(image(), size())).codes;
    await tryJunk('reconstruct', codes.reconstruct.bind(codes), () => [image(), size()]);
    await tryJunk('codes', codes.codes.bind(codes), () => [image(), size()]);
    await tryJunk('score', codes.score.bind(codes), () => [
      image(),
      { ...size(), class: undefined, condition: image() },
    ]);
    await tryJunk('decodeCodes', codes.decodeCodes.bind(codes), () => [
      grid,
      { signal: signal(), onProgress },
    ]);
    const first = async (stream: unknown) => {
      for await (const step of stream as api.VqganStream) return step.preview();
      return undefined;
    };
    const draw = () => ({ ...size(), topK: 5, topP: 1, temperature: 1, seed: 1, start: undefined });
    await tryJunk('sample', codes.sample.bind(codes), () => [{ ...draw(), class: undefined }], first);
    await tryJunk('sketch', codes.sketch.bind(codes), () => [image(), draw()], first);
  }, 240_000);
});

describe('loaded modules', () => {
  const disposing = (one: unknown) => (one as { dispose(): void }).dispose();
  const load = () => ({
    backend: 'cpu',
    storage: 'f32',
    threads: 1,
    stockOps: false,
    memory: 'balanced',
    signal: signal(),
    onProgress,
  });

  it('throw typed errors from the text encoder', async () => {
    const { TextEncoder } = api;
    await tryJunk(
      'TextEncoder.load',
      TextEncoder.load.bind(TextEncoder),
      () => [{ ...source.textEncoders[0]! }, load()],
      disposing,
    );
    await using one = await TextEncoder.load(source.textEncoders[0]!, loading);
    const tokens = new Tensor(new Int32Array(8), [1, 8]);
    await tryJunk('encode', one.encode.bind(one), () => [
      { tokens, eosIndex: new Tensor(Int32Array.of(1), [1]) },
      { layer: 1, finalNorm: true, signal: signal(), taps: [], timings: false },
    ]);
    await tryJunk('encode embeddings', one.encode.bind(one), () => [
      { embeddings: Tensor.zeros([1, 8, one.config.hidden_size]) },
    ]);
    await tryJunk('nodes', one.nodes.bind(one), () => [
      { batch: 1, length: 8, pooled: false },
      { layer: 1, finalNorm: true },
    ]);
  }, 120_000);

  it('throw typed errors from the U-Net', async () => {
    const { UNet } = api;
    await using one = await UNet.load(source.unet, loading);
    const inputs = () => ({
      sample: latent(),
      timestep: Tensor.zeros([1]),
      context: Tensor.zeros([1, 8, one.config.cross_attention_dim]),
    });
    const call = () => ({ signal: signal(), taps: [], timings: false, patches: undefined });
    await tryJunk('forward', one.forward.bind(one), () => [
      { ...inputs(), textEmbeds: undefined, timeIds: undefined, classLabels: undefined },
      { ...call(), branch: 0 },
    ]);
    const { deep } = await one.forward(inputs(), { branch: 0 });
    await tryJunk('shallow', one.shallow.bind(one), () => [inputs(), deep, 0, call()]);
    await tryJunk('cacheCrossAttention', one.cacheCrossAttention.bind(one), () => [
      Tensor.zeros([1, 8, one.config.cross_attention_dim]),
      { signal: signal() },
    ]);
    using kept = await one.cacheCrossAttention(Tensor.zeros([1, 8, one.config.cross_attention_dim]));
    const withTexts = (text: unknown) =>
      one.forward({ sample: latent(), timestep: Tensor.zeros([1]), text: text as never });
    await tryJunk('forward with texts', withTexts as never, () => [{ of: kept, rows: [0] }]);
    await tryJunk('bytesOfTexts', one.bytesOfTexts.bind(one), () => [1, 77]);
    await tryJunk('forwardBytes', one.forwardBytes.bind(one), () => [
      { batch: 1, height: 8, width: 8, length: 8, timeIds: 6 },
      signal(),
    ]);
    const { tensor, shape } = source.unet.weights.parameter('conv_out.weight');
    const patch = { target: 'conv_out.weight', scale: 1, change: { add: { full: tensor } } };
    const change = (value: object) => one.setPatches('a', [{ ...patch, ...value }]);
    await tryJunk('setPatches', one.setPatches.bind(one), () => ['a', [patch], { signal: signal() }]);
    await tryJunk('a patch', change, () => [{ ...patch, rows: [0, shape[0]], columns: [0, shape[1]] }]);
    const add = (value: object) => change({ change: { add: { full: value } } });
    await tryJunk('a factor', add, () => [{ ...tensor, data: undefined }]);
    await tryJunk('nodes', one.nodes.bind(one), () => [
      { batch: 1, height: 8, width: 8, length: 8, timeIds: 6 },
    ]);
  }, 120_000);

  it('throw typed errors from autoencoders', async () => {
    const { Autoencoder, VQModel } = api;
    const pixels = () => Tensor.zeros([1, 3, 64, 64]);
    if (source.autoencoder.kind === 'autoencoder_kl') {
      await using kl = await Autoencoder.load(source.autoencoder, loading);
      const tiled = () => ({ signal: signal(), tile: 256, onProgress });
      await tryJunk('Autoencoder.encode', kl.encode.bind(kl), () => [pixels(), tiled()]);
      await tryJunk('Autoencoder.decode', kl.decode.bind(kl), () => [latent(), tiled()]);
      await tryJunk('encodeWhole', kl.encodeWhole.bind(kl), () => [
        pixels(),
        { signal: signal(), taps: [], timings: true },
      ]);
      await tryJunk('decodeWhole', kl.decodeWhole.bind(kl), () => [
        latent(),
        { signal: signal(), taps: [], timings: true },
      ]);
      await tryJunk('Autoencoder.nodes', kl.nodes.bind(kl), () => [
        'encode',
        { batch: 1, height: 64, width: 64 },
      ]);
      await tryJunk('decodeBytes', kl.decodeBytes.bind(kl), () => [64, 64, signal()]);
    }
    expect(codesSource.autoencoder.kind).toBe('vq_model');
    if (codesSource.autoencoder.kind !== 'vq_model') return;
    await using vq = await VQModel.load(codesSource.autoencoder, loading);
    const call = () => ({ signal: signal(), taps: [], timings: false });
    const { latent: z } = await vq.encode(pixels());
    const { indices } = await vq.quantize(z);
    await tryJunk('VQModel.encode', vq.encode.bind(vq), () => [pixels(), call()]);
    await tryJunk('quantize', vq.quantize.bind(vq), () => [
      z,
      { ...call(), distances: true, logits: false, pick: () => 0 },
    ]);
    await tryJunk('lookup', vq.lookup.bind(vq), () => [indices, call()]);
    await tryJunk('VQModel.decode', vq.decode.bind(vq), () => [z, { ...call(), quantize: true }]);
    await tryJunk('VQModel.nodes', vq.nodes.bind(vq), () => ['decode', { batch: 1, height: 64, width: 64 }]);
    const { discriminator, lpips } = codesSource;
    await using judge = discriminator && (await api.PatchDiscriminator.load(discriminator, loading));
    await using eye = lpips && (await api.Lpips.load(lpips, loading));
    if (judge) {
      await tryJunk('score', judge.score.bind(judge), () => [pixels(), call()]);
      await tryJunk('PatchDiscriminator.nodes', judge.nodes.bind(judge), () => [
        { batch: 1, height: 64, width: 64 },
      ]);
    }
    if (eye) await tryJunk('compare', eye.compare.bind(eye), () => [pixels(), pixels(), call()]);
    const modules = () => ({
      autoencoder: vq,
      config: api.usualLosses('vq'),
      discriminator: judge,
      lpips: eye,
      logvar: 0,
    });
    await tryJunk('vqganLosses', api.vqganLosses as never, () => [
      modules(),
      pixels(),
      { step: 1, signal: signal() },
    ]);
    const withLosses = (config: unknown) =>
      api.vqganLosses({ ...modules(), config: config as api.LossConfig }, pixels());
    await tryJunk('vqganLosses with a config', withLosses as never, () => [api.usualLosses('vq')]);
  }, 240_000);

  it('throw typed errors from transformers and sampling with them', async () => {
    const { LatentTransformer } = api;
    await using one = await LatentTransformer.load(codesSource.transformer!, loading);
    const row = () => new Tensor(new Int32Array(4), [1, 4]);
    await tryJunk('forward', one.forward.bind(one), () => [
      { codes: row(), embeddings: undefined },
      { signal: signal(), taps: [], timings: false },
    ]);
    await tryJunk(
      'append',
      (...args) => one.begin().append(...(args as unknown as [api.SequenceInputs])),
      () => [{ codes: row() }, { signal: signal() }],
    );
    await tryJunk('LatentTransformer.nodes', one.nodes.bind(one), () => [{ batch: 1, length: 4 }]);
    const first = async (steps: unknown) => (steps as AsyncGenerator).next();
    const choice = () => ({ temperature: 1, topK: 5, topP: 1, sample: true, below: 16, signal: signal() });
    await tryJunk(
      'sampleCodeIndices',
      api.sampleCodeIndices as never,
      () => [
        one,
        { ...choice(), condition: [[0]], total: 3, seeds: [1], start: undefined, order: undefined },
      ],
      first,
    );
    await tryJunk(
      'slideCodeIndices',
      api.slideCodeIndices as never,
      () => [
        one,
        {
          ...choice(),
          height: 2,
          width: 2,
          side: 2,
          condition: { kind: 'tokens', codes: [[0]] },
          seeds: [1],
          start: undefined,
        },
      ],
      first,
    );
    await tryJunk('codeLikelihood', api.codeLikelihood as never, () => [
      one,
      [1, 2, 3, 4],
      {
        height: 2,
        width: 2,
        condition: { kind: 'tokens', codes: [0] },
        side: 2,
        order: undefined,
        signal: signal(),
      },
    ]);
  }, 240_000);
});

describe('functions and tensors', () => {
  it('throw typed errors from opening, converting and packing', async () => {
    const open = () => ({
      variant: undefined,
      vae: undefined,
      prediction: 'v',
      config: undefined,
      ema: false,
    });
    await tryJunk('openModel', api.openModel as never, () => [api.starterModel, open()]);
    await tryJunk('openVqganModel', api.openVqganModel as never, () => [
      api.sketchStarter,
      { config: undefined, ema: false, variant: undefined },
    ]);
    await tryJunk('inspectModel', api.inspectModel as never, () => [
      api.starterModel,
      { ...open(), storage: 'f16' },
    ]);
  }, 120_000);

  it('throw typed errors from downloads, conversion and packed weights', async () => {
    const env = () => ({ HF_HOME: folder, SAFELIGHT_MODELS: folder, HF_HUB_OFFLINE: '1' });
    await tryJunk(
      'listModels',
      ((given: never) => api.listModels(Object(given) === given ? given : env())) as never,
      () => [[]],
    );
    await tryJunk('locateModel', ((name: never) => api.locateModel(name, env())) as never, () => ['a']);
    await tryJunk('removeModel', ((name: never) => api.removeModel(name, env())) as never, () => ['a']);
    const pull = () => ({
      env: env(),
      pickle: false,
      signal: signal(),
      onProgress,
      onNote: onProgress,
      connections: 1,
      include: [],
      variant: 'a',
    });
    await tryJunk(
      'pullModel',
      ((name: never, options: api.PullModelOptions) =>
        api.pullModel(name, Object(options) === options ? { ...options, env: env() } : options)) as never,
      () => ['owner/name', pull()],
    );
    const into = join(folder, 'a.gguf');
    const convert = () => ({
      storage: 'f16',
      keep: [{ pattern: 'a', type: 'f32' }],
      threads: 1,
      signal: signal(),
      onProgress,
    });
    await tryJunk('convertModel', api.convertModel as never, () => [
      join(folder, 'nowhere'),
      into,
      convert(),
    ]);
    await tryJunk('packModel', api.packModel as never, () => [
      join(folder, 'nowhere'),
      { storage: 'f16', verify: false, threads: 1, signal: signal(), onProgress },
    ]);
    await tryJunk('packedModules', ((path: never) => api.packedModules(path ?? folder)) as never, () => [
      folder,
    ]);
    await tryJunk('removePacked', ((path: never) => api.removePacked(path ?? folder)) as never, () => [
      folder,
    ]);
  }, 120_000);

  it('throw typed errors from images and their texts', async () => {
    await tryJunk('readImage', api.readImage as never, () => [
      image(),
      { alpha: 'keep', maxPixels: 2 ** 20 },
    ]);
    await tryJunk('encodePng', api.encodePng as never, () => [image()]);
    await tryJunk('encodePng with a text', ((text: never) => api.encodePng(image(), text)) as never, () => [
      'x',
    ]);
    await tryJunk('readPngText', api.readPngText as never, () => [new Uint8Array(3)]);
    await tryJunk('parseParameters', api.parseParameters as never, () => ['a\nSteps: 2']);
    await tryJunk('restoreOptions', api.restoreOptions as never, () => ['a\nSteps: 2']);
    await tryJunk('formatParameters', api.formatParameters as never, () => [
      { prompt: 'a', negative: '', fields: {} },
    ]);
    await tryJunk('patchMap', api.patchMap as never, () => [image(), Tensor.zeros([4, 4])]);
    const [made] = await pipeline.decode(latent());
    await tryJunk('png', made!.png.bind(made), () => [{ metadata: true }]);
  });

  it('throw typed errors from text functions', async () => {
    const tokenizer = await api.Tokenizer.standard();
    await tryJunk('parsePrompt', api.parsePrompt as never, () => ['a (b:1.2)']);
    await tryJunk('Tokenizer.encode', tokenizer.encode.bind(tokenizer), () => ['a']);
    await tryJunk('Tokenizer.tokens', tokenizer.tokens.bind(tokenizer), () => [[1, 2]]);
    await tryJunk('Tokenizer.standard', api.Tokenizer.standard as never, () => [{ window: 77, padId: 0 }]);
    await tryJunk('Tokenizer.fromFiles', api.Tokenizer.fromFiles as never, () => [
      folder,
      { window: 77, padId: 0 },
    ]);
    await tryJunk('Tokenizer.load', api.Tokenizer.load as never, () => [
      'standard',
      { window: 77, padId: 0 },
    ]);
  });

  it('throw typed errors from functions of code indices', async () => {
    await tryJunk('codeUsage', api.codeUsage as never, () => [Int32Array.of(1, 2), 4]);
    await tryJunk('codeOrder', api.codeOrder as never, () => ['zcurve', 4, 4]);
    await tryJunk('coordinateIndices', api.coordinateIndices as never, () => [2, 2, 4, 16]);
    await tryJunk('windowSide', api.windowSide as never, () => [
      { block: 64, condition: 'grid', trained: 4 },
    ]);
    await tryJunk('usualLosses', api.usualLosses as never, () => ['vq']);
  });

  it('throw typed errors from tensors', async () => {
    const tensor = latent();
    await tryJunk('Tensor.from', Tensor.from as never, () => [new Float32Array(4), [2, 2]]);
    await tryJunk('Tensor.zeros', Tensor.zeros as never, () => [[2, 2]]);
    await tryJunk('Tensor.fromNpy', Tensor.fromNpy as never, () => [tensor.toNpy()]);
    await tryJunk('reshape', tensor.reshape.bind(tensor), () => [[4, 64]]);
    await tryJunk('at', tensor.at.bind(tensor), () => [0]);
    await tryJunk('slice', tensor.slice.bind(tensor), () => [0, [0, 1], null]);
    await tryJunk('histogram', tensor.histogram.bind(tensor), () => [8, [0, 1]]);
    await tryJunk('toImage', tensor.toImage.bind(tensor), () => [{ range: [0, 1], mode: 'heat', scale: 1 }]);
  });
});
