/**
 * What the samplers are written against. A model is `denoise(x, sigma) -> x0`, a schedule is an array of sigmas, noise is a
 * source of normal numbers; a sampler is an async generator over them (as k-diffusion splits it).
 */

/** A batch of latents `[B, C, H, W]`, flattened; each picture's numbers are contiguous. */
export type Latent = Float32Array;

/** Predicts the clean latent x0 of noisy `x` at `sigma` (k-diffusion's parametrization: x = x0 + sigma * noise). */
export type Denoise = (x: Latent, sigma: number) => Promise<Latent>;

/** Independent normal numbers for every picture of the batch, drawn from each picture's own generator in turn. */
export interface NoiseSource {
  /** Numbers of one picture's latent. */
  readonly size: number;
  /** Pictures in the batch. */
  readonly count: number;
  /** The next `[count, size]` normal numbers, as `torch.randn` of one picture's shape would give from its generator. */
  next(): Latent;
  /**
   * Brownian increments as torchsde's tree gives them over [sigmaMin, sigmaMax], normalized to unit variance
   * (k-diffusion's BrownianTreeNoiseSampler), each picture's seed as entropy.
   */
  brownian(sigmaMin: number, sigmaMax: number): BrownianNoise;
}

/** The path's increment between two sigmas, over the root of their distance. */
export interface BrownianNoise {
  (sigma: number, sigmaNext: number): Latent;
  /** The same numbers; the event loop turns while they are made, for there may be 50 ms of work in them. */
  readonly inTurns?: (sigma: number, sigmaNext: number) => Promise<Latent>;
}

/** One completed step. `latent` is the sampler's own state: writing into it changes what follows. */
export interface SamplerStep {
  /** 0-based. */
  readonly step: number;
  readonly steps: number;
  readonly sigma: number;
  readonly sigmaNext: number;
  readonly latent: Latent;
  /** The model's last prediction of x0; writing into it changes what later steps remember of it. */
  readonly denoised: Latent;
}

export interface SamplerOptions {
  /** Scales ancestral and SDE noise (default 1), DDIM's eta (default 0), TCD's (default 0.3). */
  readonly eta?: number;
  readonly sChurn?: number;
  readonly sTmin?: number;
  readonly sTmax?: number;
  readonly sNoise?: number;
}

/** Returns the last latent. Multi-step samplers keep the history they need inside. */
export type Sampler = (
  denoise: Denoise,
  latent: Latent,
  sigmas: readonly number[],
  noise: NoiseSource,
  options?: SamplerOptions,
) => AsyncGenerator<SamplerStep, Latent>;
