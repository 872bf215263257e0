/** Options of the second, larger pass (A1111's "Hires. fix"). */
import type { SamplerName } from '../../sampling/samplers/index.js';
import type { ScheduleName } from '../../sampling/schedules/index.js';
import type { Interpolation } from '../../tensor/interpolate.js';
import { boolean, choice, integer, name, number, type OptionsOf, object, side, text } from '../field.js';
import { upscalerLabel } from '../upscaler-names.js';

/** Interpolation of each latent upscaler; the names follow A1111. */
export const latentUpscalers = {
  latent: 'bilinear',
  latent_antialiased: 'bilinear',
  latent_bicubic: 'bicubic',
  latent_bicubic_antialiased: 'bicubic-antialiased',
  latent_nearest: 'nearest',
  latent_nearest_exact: 'nearest-exact',
} as const satisfies Record<string, Interpolation>;

const upscalers = [
  ...(['latent', 'latent_antialiased', 'latent_bicubic', 'latent_bicubic_antialiased'] as const),
  ...(['latent_nearest', 'latent_nearest_exact', 'lanczos', 'nearest'] as const),
] as const;
export type HiresUpscaler = (typeof upscalers)[number];

const fields = {
  /** Scale factor of each side, 1 to 8; default 2. Sizes are rounded down to multiples of the downsampling factor. */
  scale: number({
    description: 'scale factor of each side; default 2',
    ...{ min: 1, max: 8, default: 2 },
    infotext: { label: 'Hires upscale', always: true },
  }),
  /** Width in pixels instead of `scale`, a multiple of the autoencoder's downsampling factor. */
  width: side({ description: 'width in pixels instead of a scale' }),
  /** Height in pixels instead of `scale`, a multiple of the autoencoder's downsampling factor. */
  height: side({ description: 'height in pixels instead of a scale' }),
  /** Sampling steps of the second pass; default those of the first. */
  steps: integer({
    description: 'sampling steps of the second pass; default as in the first',
    ...{ min: 1, max: 'maxSteps' },
    zeroIsNone: true,
    infotext: { label: 'Hires steps' },
  }),
  /** Denoising strength of the second pass, above 0 to 1; default 0.75. */
  strength: number({
    description: 'denoising strength of the second pass, above 0 to 1; default 0.75',
    ...{ min: 0, max: 1, default: 0.75 },
    above: true,
  }),
  /**
   * Upscaler: `latent` (default) and `latent_*` enlarge the latent; `lanczos`, `nearest` and upscaler models the decoded
   * image. A model is given by its name in the folder of upscalers, such as `4x-UltraSharp`, or by its path, such as
   * `4x.safetensors`. The HTTP APIs do not accept paths.
   */
  upscaler: choice(upscalers, {
    description:
      'upscaler of the image or its latent, or an upscaler model by its name in the folder of upscalers or its file; default latent',
    labelOfFile: upscalerLabel,
    orFile: 'upscaler model',
    flag: { argument: 'name|file' },
    default: 'latent',
    labels: {
      latent: 'Latent',
      latent_antialiased: 'Latent (antialiased)',
      latent_bicubic: 'Latent (bicubic)',
      latent_bicubic_antialiased: 'Latent (bicubic antialiased)',
      latent_nearest: 'Latent (nearest)',
      latent_nearest_exact: 'Latent (nearest-exact)',
      lanczos: 'Lanczos',
      nearest: 'Nearest',
    },
    // A1111's None also enlarges, with Lanczos.
    otherLabels: { None: 'lanczos' },
    infotext: { label: 'Hires upscaler', always: true },
  }),
  /** Prompt of the second pass; default that of the first. */
  prompt: text({
    description: 'prompt of the second pass; default as in the first',
    max: 'maxPrompt',
    infotext: { label: 'Hires prompt' },
  }),
  /** Negative prompt of the second pass; default that of the first. */
  negative: text({
    description: 'negative prompt of the second pass; default as in the first',
    max: 'maxPrompt',
    infotext: { label: 'Hires negative prompt' },
  }),
  /** Sampler of the second pass; default that of the first. */
  sampler: name<SamplerName>()({
    of: 'sampler',
    description: 'sampler of the second pass; default as in the first',
  }),
  /** Schedule of the second pass; default that of the first. */
  schedule: name<ScheduleName | 'automatic'>()({
    of: 'schedule',
    description: 'schedule of the second pass; default as in the first',
  }),
  /** Omits the last sigma above 0 in the second pass; default as in the first. */
  discardPenultimate: boolean({
    description: 'omit the last sigma above 0; default as in the first pass',
    infotext: { label: 'Hires discard penultimate sigma' },
  }),
};

export const hiresFields = {
  /** Second pass at a larger size (A1111's "Hires. fix"); default off. */
  hires: object({
    description: 'enlarge the image in a second pass',
    title: 'Second, larger pass:',
    flag: { prefix: 'hires', itself: true },
    fields,
  }),
};

export type HiresOptions = OptionsOf<typeof fields>;
