/** Pixel-space diffusion models, unconditional or class-conditional. Ho et al. 2020, arXiv:2006.11239. */
import { latentDiffusion } from './shared/latent-diffusion.js';

export const ddpm = latentDiffusion({ name: 'ddpm', label: 'Diffusion of pixels (DDPM)' }, true);
