/**
 * Stable Diffusion XL: two text encoders, pooled text and size conditioning, images of 1024 x 1024 pixels. Podell et
 * al. 2023, arXiv:2307.01952.
 */
import { SDXL_STEPS } from '../sampling/schedules/align-your-steps.js';
import { stableDiffusion } from './shared/stable-diffusion.js';
import { CLIP_XL_USE, ldmLayout, OPENCLIP_XL_USE, sdcppLayout } from './shared/text-encoder-layouts.js';

const FIRST = 'conditioner.embedders.0.transformer.';
const SECOND = 'conditioner.embedders.1.';

export const sdxl = stableDiffusion({
  name: 'sdxl',
  label: 'Stable Diffusion XL',
  layouts: [
    ldmLayout(
      [
        { prefix: FIRST, ...CLIP_XL_USE },
        { prefix: `${SECOND}model.`, ...OPENCLIP_XL_USE },
      ],
      (has) => has(SECOND) || has(FIRST),
    ),
    sdcppLayout([CLIP_XL_USE, OPENCLIP_XL_USE], ({ second }) => second),
  ],
  folder: ({ addition, textEncoder }) => addition && textEncoder,
  scalingFactor: 0.13025,
  zeroEmptyNegative: true,
  timeIds: 6,
  alignYourSteps: SDXL_STEPS,
  imageSide: () => 1024,
  encoderName: (index) => (index === 0 ? 'text_encoder' : 'text_encoder_2'),
});
