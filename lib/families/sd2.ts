/**
 * Stable Diffusion 2: text encoder of OpenCLIP ViT-H; models for 512 x 512 pixels predict noise, those for 768 x 768
 * predict v.
 */
import { stableDiffusion } from './shared/stable-diffusion.js';
import { ldmLayout, OPENCLIP_USE, sdcppLayout } from './shared/text-encoder-layouts.js';

const PREFIX = 'cond_stage_model.model.';

export const sd2 = stableDiffusion({
  name: 'sd2',
  label: 'Stable Diffusion 2',
  layouts: [
    ldmLayout([{ prefix: PREFIX, ...OPENCLIP_USE }], (has) => has(PREFIX)),
    sdcppLayout([OPENCLIP_USE], ({ labels, second }) => !labels && !second),
  ],
  folder: ({ addition, openClip }) => !addition && openClip,
  scalingFactor: 0.18215,
  zeroEmptyNegative: false,
  // Models for 512 and 768 pixels have the same tensors.
  predictionVaries: true,
  imageSide: ({ prediction }) => (prediction === 'v' ? 768 : 512),
  encoderName: () => 'text_encoder',
});
