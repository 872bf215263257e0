/** Options of the second, larger pass (A1111's "Hires. fix"). */
import type { SamplerName } from '../../sampling/samplers/index.js';
import type { ScheduleName } from '../../sampling/schedules/index.js';
import type { Interpolation } from '../../tensor/interpolate.js';
import { boolean, choice, integer, name, number, type OptionsOf, object, side, text } from '../field.js';

/** Latent upscalers by A1111's names for them, and the interpolation that they are. */
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
  /** Factor by which each side grows, 1 to 8; default 2. Sizes are rounded down to the grid. */
  scale: number({
    description: 'how many times larger; default 2',
    ...{ min: 1, max: 8, default: 2 },
    infotext: { label: 'Hires upscale', always: true },
  }),
  /** The size itself, instead of `scale`: multiples of the autoencoder's factor. */
  width: side({ description: 'pixels instead of a scale' }),
  height: side({ description: 'pixels instead of a scale' }),
  /** Steps that the second pass runs; default those of the first. */
  steps: integer({
    description: 'steps that it runs; default as many again',
    ...{ min: 1, max: 'maxSteps' },
    zeroIsNone: true,
    infotext: { label: 'Hires steps' },
  }),
  /** Distance that the second pass goes from the first image, above 0 to 1; default 0.75. */
  strength: number({
    description: 'how far it may go from the first image, above 0 to 1; default 0.75',
    ...{ min: 0, max: 1, default: 0.75 },
    above: true,
  }),
  /** `latent` (default) and its kin enlarge the latent, `lanczos` and `nearest` the decoded image. */
  upscaler: choice(upscalers, {
    description: 'what enlarges the image, or its latent; default latent',
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
    // A1111's None enlarges too, with Lanczos.
    otherLabels: { None: 'lanczos' },
    infotext: { label: 'Hires upscaler', always: true },
  }),
  /** Prompts of the second pass; default those of the first. */
  prompt: text({
    description: 'what to draw in it; default the same',
    max: 'maxPrompt',
    infotext: { label: 'Hires prompt' },
  }),
  negative: text({
    description: 'what not to draw in it; default the same',
    max: 'maxPrompt',
    infotext: { label: 'Hires negative prompt' },
  }),
  /** Sampler and noise levels of the second pass; default those of the first. */
  sampler: name<SamplerName>()({ of: 'sampler', description: 'its sampler; default the same' }),
  schedule: name<ScheduleName | 'automatic'>()({
    of: 'schedule',
    description: 'its noise levels; default the same',
  }),
  /** Leaves out the last sigma before the end in the second pass; default as in the first. */
  discardPenultimate: boolean({
    description: 'leave out the last sigma but one; default as in the first pass',
    infotext: { label: 'Hires discard penultimate sigma' },
  }),
};

export const hiresFields = {
  /** A second pass at a larger size. */
  hires: object({
    description: 'make the image larger in a second pass',
    title: 'Second, larger pass:',
    flag: { prefix: 'hires', itself: true },
    fields,
  }),
};

export type HiresOptions = OptionsOf<typeof fields>;
