/** From a picture, or a part of one, as A1111 does it. */
import { invalidOption } from '../../errors.js';
import type { EncodedImage } from '../../families/shared/latent-codec.js';
import { imageTensor } from '../../families/shared/latents.js';
import type { LoadedModel, ModelFacts } from '../../families/shared/loaded-model.js';
import { readImage } from '../../image/read.js';
import { type ByteImage, resample } from '../../image/resample.js';
import { createNoise } from '../../sampling/noise.js';
import { addNoise } from '../../sampling/noise-schedule.js';
import type { NoiseSource } from '../../sampling/types.js';
import { interpolate } from '../../tensor/interpolate.js';
import { Tensor } from '../../tensor/tensor.js';
import type { Warnings } from '../../warnings.js';
import { checkSize, type InitSettings, type Settings } from '../options.js';
import { brownianRange, type PartialSigmas, partialSigmas } from './denoising/sigmas.js';
import { fittingSize, type Size, warnIfLarge, warnOfResize } from './image-size.js';
import { type PreparedImage, prepareImage, prepareMasked } from './inpaint.js';
import type { Pass, Plan } from './plan.js';
import { type ImageBatch, imageNoise } from './seeds.js';

/** What was encoded of the picture, and the mask at the latent's size. */
interface Encoded {
  /** With `resizeMode: 'latent'` of the picture's own size. */
  readonly picture: EncodedImage;
  /** Of the latent that is worked on. */
  readonly height: number;
  readonly width: number;
  /** `[h, w]`, 1 where it is repainted, 0 elsewhere. */
  readonly mask: Float32Array | undefined;
  /** For inpainting models: `[1, 1, h, w]`, and the picture that is gray where it is masked. */
  readonly hint: { readonly mask: Tensor; readonly masked: EncodedImage } | undefined;
}

type ImageSettings = Settings & { readonly init: InitSettings };

export async function planImageToImage(loaded: LoadedModel, settings: ImageSettings): Promise<Plan> {
  const { facts } = loaded;
  const { signal, sampling, mask, init } = settings;
  const original = await readImage(init.source);
  const { width, height } = sizeFrom(settings, original, facts, settings.warnings);
  const prepared = mask
    ? await prepareMasked(original, mask, width, height, init.resizeMode, signal)
    : await prepareImage(original, width, height, init.resizeMode, signal);
  const own = init.resizeMode === 'latent' && !mask?.onlyMasked;
  // The image's own size is encoded then, whatever size is asked for.
  if (own)
    warnIfLarge(settings.warnings, original, facts.defaults, {
      ...{ what: 'init, which resizeMode latent encodes whole,', effect: 'it takes long' },
    });
  const encoded = await encode(loaded, prepared, {
    image: own ? await onGrid(original, facts.downsampleFactor, signal) : prepared.image,
    round: mask?.round ?? true,
    signal,
  });
  const { noiseSchedule } = await loaded.denoiser(signal);
  const { alignYourSteps, latentChannels } = facts;
  const levels = partialSigmas(
    sampling,
    { noiseSchedule, alignYourSteps, shape: [1, latentChannels, encoded.height, encoded.width] },
    { steps: sampling.steps, strength: init.strength, mode: 'share' },
  );
  return {
    width,
    height,
    steps: levels.sigmas.length - 1,
    pass: (seeds) => begin(facts.downsampleFactor, settings, encoded, seeds, levels),
    finish: prepared.finish,
  };
}

/**
 * The size asked for, else the image's, rounded down to the latent grid and scaled down to the model's pixel count, which is warned of.
 * @param option what the image was given as
 * @throws INVALID_OPTION
 */
export function sizeFrom(
  asked: { readonly width: number | undefined; readonly height: number | undefined },
  image: Size,
  { downsampleFactor, defaults }: Pick<ModelFacts, 'downsampleFactor' | 'defaults'>,
  warnings: Warnings,
  option = 'init',
): Size {
  const { scaled, ...size } = fittingSize(asked, image, downsampleFactor, defaults);
  const { width, height } = size;
  if (width < downsampleFactor || height < downsampleFactor) {
    throw invalidOption(
      'init',
      `a picture of at least ${downsampleFactor} x ${downsampleFactor} pixels`,
      `${image.width} x ${image.height}`,
    );
  }
  checkSize(size, downsampleFactor);
  if (scaled) warnOfResize(warnings, image, size, option);
  return size;
}

/** A picture at its own size, as far as the latent grid goes. */
function onGrid(
  image: ByteImage,
  downsampleFactor: number,
  signal: AbortSignal | undefined,
): Promise<ByteImage> {
  const side = (size: number): number =>
    Math.max(downsampleFactor, Math.floor(size / downsampleFactor) * downsampleFactor);
  return resample(image, side(image.width), side(image.height), 'lanczos', signal);
}

async function encode(
  loaded: LoadedModel,
  prepared: PreparedImage,
  how: { readonly image: ByteImage; readonly round: boolean; readonly signal: AbortSignal | undefined },
): Promise<Encoded> {
  const { signal } = how;
  const codec = await loaded.codec(signal);
  const picture = await codec.encode(imageTensor(how.image), { signal });
  const { downsampleFactor } = loaded.facts;
  const [h, w] = [prepared.image.height / downsampleFactor, prepared.image.width / downsampleFactor];
  const share = (byte: number): number => (how.round ? rounded(byte) : byte / 255);
  const { mask } = prepared;
  const small = mask && (await resample(mask, w, h, 'bicubic', signal));
  return {
    ...{ picture, height: h, width: w },
    mask: small && Float32Array.from(small.data, share),
    hint: loaded.facts.extra === 'inpainting' ? await hintOf() : undefined,
  };

  async function hintOf() {
    const { width, height } = prepared.image;
    const image = imageTensor(prepared.image);
    const hidden = mask ? Float32Array.from(mask.data, share) : new Float32Array(width * height).fill(1);
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
  downsampleFactor: number,
  settings: ImageSettings,
  encoded: Encoded,
  pictures: ImageBatch,
  { full, ...levels }: PartialSigmas,
): Pass {
  const { rng, init } = settings;
  const { seeds } = pictures;
  const { height, width, picture } = encoded;
  const [, channels = 0, ...sides] = picture.shape;
  const shape = [channels, height, width] as const;
  const noise = imageNoise(settings, pictures, shape, downsampleFactor, brownianRange(full));
  const isOwnSize = sides[0] !== height || sides[1] !== width;
  // A sample of the posterior is the first thing drawn from a picture's generator, before its noise.
  const draw = (source: NoiseSource) => (): Float32Array | undefined =>
    init.posterior === 'sample' ? source.next() : undefined;
  const seen = picture.latents(draw(isOwnSize ? createNoise({ rng, seeds, size: picture.size }) : noise));
  const sized = isOwnSize ? interpolate(seen, height, width, 'bilinear') : seen;
  const batchOf = (latents: Tensor): Tensor => latents.repeat(seeds.length / latents.shape[0]!, 1, 1, 1);
  const clean = batchOf(sized);
  const latent = encoded.mask
    ? filled(clean, encoded.mask, settings, () => createNoise({ rng, seeds, size: noise.size }).next())
    : clean;
  const extra =
    encoded.hint &&
    Tensor.cat([batchOf(encoded.hint.mask), batchOf(encoded.hint.masked.latents(draw(noise)))], 1);
  const first = noise.first();
  const { noiseSchedule, sigmas } = levels;
  const noisy = addNoise(noiseSchedule, latent.data, first, sigmas[0]!, init.noiseMultiplier);
  return {
    latent: Tensor.from(noisy, latent.shape),
    ...levels,
    noise,
    extra,
    before: latent,
    keep: encoded.mask && { latent, mask: encoded.mask },
  };
}

/** What the masked part begins from: noise comes from a generator of its own, so it is the picture's first noise. */
function filled(latent: Tensor, mask: Float32Array, settings: Settings, fresh: () => Float32Array): Tensor {
  const fill = settings.mask?.fill;
  if (fill !== 'noise' && fill !== 'nothing') return latent;
  const noise = fill === 'noise' ? fresh() : undefined;
  return Tensor.from(
    latent.data.map((value, i) => {
      const m = mask[i % mask.length]!;
      return value * (1 - m) + (noise ? noise[i]! * m : 0);
    }),
    latent.shape,
  );
}
