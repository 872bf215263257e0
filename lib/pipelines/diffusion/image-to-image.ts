/** Image to image and inpainting, following A1111. */

import { invalidOption } from '../../errors.js';
import type { EncodedImage } from '../../families/shared/latent-codec.js';
import { imageTensor } from '../../families/shared/latents.js';
import type { LoadedModel, ModelFacts } from '../../families/shared/loaded-model.js';
import { readImage } from '../../image/read.js';
import { type ByteImage, resample } from '../../image/resample.js';
import type { NetworkChanges } from '../../sampling/network.js';
import { createNoise } from '../../sampling/noise.js';
import { addNoise } from '../../sampling/noise-schedule.js';
import type { NoiseSource } from '../../sampling/types.js';
import { interpolate } from '../../tensor/interpolate.js';
import { Tensor } from '../../tensor/tensor.js';
import type { Warnings } from '../../warnings.js';
import { checkSize, type InitSettings, type Settings } from '../options.js';
import { codecOf } from './codec-of.js';
import { brownianRange, type PartialSigmas, partialSigmas } from './denoising/sigmas.js';
import { fittingSize, type Size, warnIfLarge, warnOfResize } from './image-size.js';
import { type PreparedImage, prepareImage, prepareMasked } from './inpaint.js';
import type { Pass, Plan } from './plan.js';
import { type ImageBatch, imageNoise } from './seeds.js';

/** The encoded image, and the mask at the size of the latent. */
interface Encoded {
  /** The image's latent; with `resizeMode: 'latent'` of the image's own size. */
  readonly image: EncodedImage;
  /** Size of the latent of the generation. */
  readonly height: number;
  readonly width: number;
  /** `[h, w]`, 1 in areas to repaint, 0 elsewhere. */
  readonly mask: Float32Array | undefined;
  /** For inpainting models: the mask `[1, 1, h, w]`, and the encoded image with masked pixels in grey. */
  readonly hint: { readonly mask: Tensor; readonly masked: EncodedImage } | undefined;
}

type ImageSettings = Settings & { readonly init: InitSettings };

/**
 * Plans a generation from an image.
 * @throws INVALID_OPTION, FILE_NOT_FOUND, INVALID_IMAGE, and errors of loading modules
 */
export async function planImageToImage(loaded: LoadedModel, settings: ImageSettings): Promise<Plan> {
  const { facts } = loaded;
  const { signal, sampling, mask, init } = settings;
  const original = await readImage(init.source);
  const { width, height } = sizeFrom(settings, original, facts, settings.warnings);
  const prepared = mask
    ? await prepareMasked(original, mask, width, height, init.resizeMode, signal)
    : await prepareImage(original, width, height, init.resizeMode, signal);
  const encodesOriginal = init.resizeMode === 'latent' && !mask?.onlyMasked;
  // With resizeMode latent, the image is encoded at its own size regardless of the requested size.
  if (encodesOriginal)
    warnIfLarge(settings.warnings, original, facts.defaults, {
      ...{ what: 'init, encoded at its full size by resizeMode latent,', effect: 'encoding is slow' },
    });
  const encoded = await encode(loaded, prepared, {
    image: encodesOriginal ? await onGrid(original, facts.downsampleFactor, signal) : prepared.image,
    round: mask?.round ?? true,
    ...{ changes: sampling.changes, signal },
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
 * Returns the requested size, otherwise that of the image, rounded down to multiples of the downsampling factor and
 * scaled down to the model's pixel count with a warning.
 * @param option subject of the warning
 * @throws INVALID_OPTION
 */
export function sizeFrom(
  requested: { readonly width: number | undefined; readonly height: number | undefined },
  image: Size,
  { downsampleFactor, defaults }: Pick<ModelFacts, 'downsampleFactor' | 'defaults'>,
  warnings: Warnings,
  option = 'init',
): Size {
  const { scaled, ...size } = fittingSize(requested, image, downsampleFactor, defaults);
  const { width, height } = size;
  if (width < downsampleFactor || height < downsampleFactor) {
    throw invalidOption(
      'init',
      `an image of at least ${downsampleFactor} x ${downsampleFactor} pixels`,
      `${image.width} x ${image.height}`,
    );
  }
  checkSize(size, downsampleFactor);
  if (scaled) warnOfResize(warnings, image, size, option);
  return size;
}

/** Resizes an image to its own size rounded down to multiples of the downsampling factor. */
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
  options: {
    readonly image: ByteImage;
    readonly round: boolean;
    readonly changes: NetworkChanges;
    readonly signal: AbortSignal | undefined;
  },
): Promise<Encoded> {
  const { signal, changes } = options;
  const codec = await codecOf(loaded, changes, signal);
  const encodedImage = await codec.encode(imageTensor(options.image), { signal });
  const { downsampleFactor } = loaded.facts;
  const [h, w] = [prepared.image.height / downsampleFactor, prepared.image.width / downsampleFactor];
  const maskValue = (byte: number): number => (options.round ? rounded(byte) : byte / 255);
  const { mask } = prepared;
  const small = mask && (await resample(mask, w, h, 'bicubic', signal));
  return {
    ...{ image: encodedImage, height: h, width: w },
    mask: small && Float32Array.from(small.data, maskValue),
    hint: loaded.facts.extra === 'inpainting' ? await hintOf() : undefined,
  };

  async function hintOf() {
    const { width, height } = prepared.image;
    const image = imageTensor(prepared.image);
    const hidden = mask ? Float32Array.from(mask.data, maskValue) : new Float32Array(width * height).fill(1);
    const masked = Tensor.from(
      image.data.map((value, i) => value * (1 - hidden[i % hidden.length]!)),
      image.shape,
    );
    return {
      mask: interpolate(Tensor.from(hidden, [1, 1, height, width]), h, w, 'nearest'),
      masked: await codec.encode(masked, { signal }),
    };
  }
}

/** Rounds a byte of a mask to 0 or 1. */
function rounded(byte: number): number {
  return byte >= 128 ? 1 : 0;
}

/** Prepares a batch: the latents of the image with noise of the first sigma. */
function begin(
  downsampleFactor: number,
  settings: ImageSettings,
  encoded: Encoded,
  batch: ImageBatch,
  { full, ...levels }: PartialSigmas,
): Pass {
  const { rng, init } = settings;
  const { seeds } = batch;
  const { height, width, image } = encoded;
  const [, channels = 0, ...sides] = image.shape;
  const shape = [channels, height, width] as const;
  const noise = imageNoise(settings, batch, shape, downsampleFactor, brownianRange(full));
  const needsResize = sides[0] !== height || sides[1] !== width;
  // A sample of the posterior uses the first numbers of an image's generator, before its noise.
  const posteriorNoise = (source: NoiseSource) => (): Float32Array | undefined =>
    init.posterior === 'sample' ? source.next() : undefined;
  const latents = image.latents(
    posteriorNoise(needsResize ? createNoise({ rng, seeds, size: image.size }) : noise),
  );
  const sized = needsResize ? interpolate(latents, height, width, 'bilinear') : latents;
  const batchOf = (rows: Tensor): Tensor => rows.repeat(seeds.length / rows.shape[0]!, 1, 1, 1);
  const clean = batchOf(sized);
  const latent = encoded.mask
    ? filled(clean, encoded.mask, settings, () => createNoise({ rng, seeds, size: noise.size }).next())
    : clean;
  const extra =
    encoded.hint &&
    Tensor.cat([batchOf(encoded.hint.mask), batchOf(encoded.hint.masked.latents(posteriorNoise(noise)))], 1);
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

/**
 * Applies the fill to the masked area. Its noise comes from a separate generator with the same seed, so it equals the
 * initial noise.
 */
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
