/**
 * Latent diffusion models of CompVis: text-conditional, class-conditional, unconditional, inpainting,
 * super-resolution. arXiv:2112.10752.
 */
import { latentDiffusion } from './shared/latent-diffusion.js';

export const latentDiffusionFamily = latentDiffusion(
  { name: 'ldm', label: 'Latent diffusion (CompVis)' },
  false,
);
