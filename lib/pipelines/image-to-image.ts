/** From a picture, or a part of one, as A1111 does it. */
import { invalidOption } from '../errors.js';
import { readImage } from '../image/read.js';
import { resample } from '../image/resample.js';
import { createNoise } from '../sampling/noise.js';
import type { NoiseSource } from '../sampling/types.js';
import { interpolate } from '../tensor/interpolate.js';
import { Tensor } from '../tensor/tensor.js';
import type { EncodedImage } from './codec.js';
import { type Engine, isInpaintingModel } from './engine.js';
import { type PreparedImage, prepareImage, prepareMasked } from './inpaint.js';
import { imageTensor, repeatBatch } from './latents.js';
import { joinChannels } from './network.js';
import { checkSize, type Settings } from './options.js';
import type { Pass, Plan } from './plan.js';
import { brownianRange, partialSigmas } from './sigmas.js';

/** What was encoded of the picture, and the mask at the latent's size. */
interface Encoded {
  readonly picture: EncodedImage;
  /** `[h, w]`, 1 where it is repainted, 0 elsewhere. */
  readonly mask: Float32Array | undefined;
  /** For inpainting models: `[1, 1, h, w]`, and the picture that is gray where it is masked. */
  readonly hint: { readonly mask: Tensor; readonly masked: EncodedImage } | undefined;
}

export async function planImageToImage(engine: Engine, settings: Settings & { init: object }): Promise<Plan> {
  const { facts } = engine;
  const { signal, sampling, mask, init } = settings;
  const original = await readImage(init.source);
  const { width, height } = sizeFrom(settings, original, facts.factor);
  const prepared = mask
    ? await prepareMasked(original, mask, width, height, signal)
    : await prepareImage(original, width, height, signal);
  const encoded = await encode(engine, prepared, signal);
  const { schedule } = await engine.denoiser(signal);
  const { full, sigmas } = partialSigmas(sampling, schedule, facts.family, {
    steps: sampling.steps,
    strength: init.strength,
    mode: 'share',
  });
  return {
    width,
    height,
    steps: sigmas.length - 1,
    pass: (seeds) => begin(settings, encoded, seeds, full, sigmas),
    finish: prepared.finish,
  };
}

/** The size asked for, else the picture's, rounded down to the latent grid. */
export function sizeFrom(
  asked: { readonly width: number | undefined; readonly height: number | undefined },
  image: { readonly width: number; readonly height: number },
  factor: number,
): { width: number; height: number } {
  const onGrid = (size: number): number => Math.floor(size / factor) * factor;
  const { width = onGrid(image.width), height = onGrid(image.height) } = asked;
  if (width < factor || height < factor) {
    throw invalidOption(
      'init',
      `a picture of at least ${factor} x ${factor} pixels`,
      `${image.width} x ${image.height}`,
    );
  }
  checkSize({ width, height }, factor);
  return { width, height };
}

async function encode(
  engine: Engine,
  prepared: PreparedImage,
  signal: AbortSignal | undefined,
): Promise<Encoded> {
  const codec = await engine.codec(signal);
  const image = imageTensor(prepared.image);
  const picture = await codec.encode(image, { signal });
  const [, , h = 0, w = 0] = picture.shape;
  const { mask } = prepared;
  const small = mask && (await resample(mask, w, h, 'bicubic', signal));
  return {
    picture,
    mask: small && Float32Array.from(small.data, rounded),
    hint: isInpaintingModel(engine.facts) ? await hintOf() : undefined,
  };

  async function hintOf() {
    const { width, height } = prepared.image;
    const hidden = mask ? Float32Array.from(mask.data, rounded) : new Float32Array(width * height).fill(1);
    const seen = Tensor.from(
      image.data.map((value, i) => value * (1 - hidden[i % hidden.length]!)),
      image.shape,
    );
    return {
      mask: interpolate(Tensor.from(hidden, [1, 1, height, width]), h, w, 'nearest'),
      masked: await codec.encode(seen, { signal }),
    };
  }
}

/** A byte of a mask as 0 or 1. */
function rounded(byte: number): number {
  return byte >= 128 ? 1 : 0;
}

/** Latents of the picture, with noise of the first sigma on them. */
function begin(
  settings: Settings & { init: { posterior: string } },
  encoded: Encoded,
  seeds: readonly number[],
  full: readonly number[],
  sigmas: readonly number[],
): Pass {
  const { size } = encoded.picture;
  const { rng } = settings;
  const noise = createNoise({ rng, seeds, size, brownianRange: brownianRange(full) });
  // A sample of the posterior is the first thing drawn from a picture's generator, before its noise.
  const draw = (): Float32Array | undefined =>
    settings.init.posterior === 'sample' ? noise.next() : undefined;
  const clean = repeatBatch(encoded.picture.latents(draw), seeds.length);
  const latent = encoded.mask
    ? filled(clean, encoded.mask, settings, () => createNoise({ rng, seeds, size }))
    : clean;
  const extra =
    encoded.hint &&
    joinChannels(
      repeatBatch(encoded.hint.mask, seeds.length),
      repeatBatch(encoded.hint.masked.latents(draw), seeds.length),
    );
  const first = noise.next();
  return {
    latent: Tensor.from(
      latent.data.map((value, i) => value + first[i]! * sigmas[0]!),
      latent.shape,
    ),
    sigmas,
    noise,
    extra,
    keep: encoded.mask && { latent, mask: encoded.mask },
  };
}

/** What the masked part begins from: noise comes from a generator of its own, so it is the picture's first noise. */
function filled(latent: Tensor, mask: Float32Array, settings: Settings, fresh: () => NoiseSource): Tensor {
  const fill = settings.mask?.fill;
  if (fill !== 'noise' && fill !== 'nothing') return latent;
  const noise = fill === 'noise' ? fresh().next() : undefined;
  return Tensor.from(
    latent.data.map((value, i) => {
      const m = mask[i % mask.length]!;
      return value * (1 - m) + (noise ? noise[i]! * m : 0);
    }),
    latent.shape,
  );
}
