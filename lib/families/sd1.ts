/**
 * Stable Diffusion 1: text encoder of CLIP ViT-L, latents of 4 channels, images of 512 x 512 pixels. Rombach et al.
 * 2022, arXiv:2112.10752.
 */
import { stableDiffusion } from './shared/stable-diffusion.js';
import { CLIP_PREFIX, CLIP_USE, ldmLayout } from './shared/text-encoder-layouts.js';

export const sd1 = stableDiffusion({
  name: 'sd1',
  label: 'Stable Diffusion 1',
  layouts: [ldmLayout([{ prefix: CLIP_PREFIX, ...CLIP_USE }], (has) => has(CLIP_PREFIX))],
  folder: ({ addition, openClip }) => !addition && !openClip,
  scalingFactor: 0.18215,
  zeroEmptyNegative: false,
  convolutionProjections: true,
  clipSkip: true,
  imageSide: () => 512,
  encoderName: () => 'text_encoder',
});
