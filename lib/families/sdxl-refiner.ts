/** Refiner of Stable Diffusion XL: only the second text encoder, and an aesthetic score instead of the target size. */
import { SDXL_STEPS } from '../sampling/schedules/align-your-steps.js';
import { stableDiffusion } from './shared/stable-diffusion.js';
import { ldmLayout, OPENCLIP_XL_USE, sdcppLayout } from './shared/text-encoder-layouts.js';

const PREFIX = 'conditioner.embedders.0.model.';

export const sdxlRefiner = stableDiffusion({
  name: 'sdxl_refiner',
  label: 'Stable Diffusion XL refiner',
  layouts: [
    ldmLayout([{ prefix: PREFIX, ...OPENCLIP_XL_USE }], (has) => has(PREFIX)),
    sdcppLayout([OPENCLIP_XL_USE], ({ labels, second }) => labels && !second),
  ],
  folder: ({ addition, textEncoder }) => addition && !textEncoder,
  scalingFactor: 0.13025,
  zeroEmptyNegative: true,
  timeIds: 5,
  alignYourSteps: SDXL_STEPS,
  imageSide: () => 1024,
  encoderName: () => 'text_encoder_2',
});
