/**
 * Interfaces of samplers, with the separation of k-diffusion: a denoiser is `denoise(x, sigma) -> x0`, a schedule an
 * array of sigmas, noise a source of normal numbers, and a sampler an async generator that uses them.
 */

/** A flattened batch of latents `[B, C, H, W]`. */
export type Latent = Float32Array;

/** Predicts the clean latent x0 of noisy `x` at `sigma` (k-diffusion's parametrization: x = x0 + sigma * noise). */
export type Denoise = (x: Latent, sigma: number) => Promise<Latent>;

/** Source of standard normal numbers, independent for each image of the batch. */
export interface NoiseSource {
  /** Values per latent. */
  readonly size: number;
  /** Images in the batch. */
  readonly count: number;
  /** Returns the next `[count, size]` numbers: for each image those of `torch.randn` with its generator. */
  next(): Latent;
  /**
   * Returns Brownian noise over [sigmaMin, sigmaMax], normalized to unit variance (k-diffusion's
   * BrownianTreeNoiseSampler), seeded per image.
   */
  brownian(sigmaMin: number, sigmaMax: number): BrownianNoise;
}

/** Increment of a Brownian path between two sigmas, divided by the square root of their distance. */
export interface BrownianNoise {
  (sigma: number, sigmaNext: number): Latent;
  /** Returns the same numbers, yielding to the event loop while computing them, which may take 50 ms. */
  readonly inTurns?: (sigma: number, sigmaNext: number) => Promise<Latent>;
}

/** A completed step. `latent` is the sampler's state: modifying it affects the following steps. */
export interface SamplerStep {
  /** Index of the step, from 0. */
  readonly step: number;
  readonly steps: number;
  readonly sigma: number;
  readonly sigmaNext: number;
  readonly latent: Latent;
  /** Last prediction of x0. Modifying it affects multistep samplers, which reuse it. */
  readonly denoised: Latent;
}

export interface SamplerOptions {
  /** Amount of added noise; default 1 for ancestral and SDE samplers, 0 for DDIM, 0.3 for TCD. */
  readonly eta?: number;
  /** Stochasticity of euler, heun and dpm2 (Karras et al. 2022). Default 0. */
  readonly sChurn?: number;
  /** Lowest sigma at which churn applies. Default 0. */
  readonly sTmin?: number;
  /** Highest sigma at which churn applies. Default Infinity. */
  readonly sTmax?: number;
  /** Factor of added noise. Default 1. */
  readonly sNoise?: number;
}

/** Runs a sampling method over `sigmas`: yields each step and returns the final latent. */
export type Sampler = (
  denoise: Denoise,
  latent: Latent,
  sigmas: readonly number[],
  noise: NoiseSource,
  options?: SamplerOptions,
) => AsyncGenerator<SamplerStep, Latent>;
