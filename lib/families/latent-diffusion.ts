/** CompVis' own latent diffusion models: text, classes, images of one kind, inpainting, enlargement. arXiv:2112.10752. */
import { latentDiffusion } from './shared/latent-diffusion.js';

export const latentDiffusionFamily = latentDiffusion(
  { name: 'ldm', label: 'Latent diffusion (CompVis)' },
  false,
);
