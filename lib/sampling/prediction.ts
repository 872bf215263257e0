/** Prediction types of networks, as the scalings that convert their output to x0. */
import { invalidOption } from '../errors.js';

/** Preconditioning of a network: x0 = network(x * cIn, t) * cOut + x * cSkip. */
export interface Scalings {
  readonly cIn: number;
  readonly cOut: number;
  readonly cSkip: number;
}

/** cIn for x = x0 + sigma * noise and unit data variance. */
const unitVariance = (sigma: number) => 1 / Math.sqrt(sigma * sigma + 1);

/** eps, v and x0 apply to x = x0 + sigma * noise, flow to x = (1 - sigma) * x0 + sigma * noise. */
const PREDICTIONS = {
  /** Noise (Ho et al. 2020, arXiv:2006.11239). */
  eps: (sigma) => ({ cIn: unitVariance(sigma), cOut: -sigma, cSkip: 1 }),
  /**
   * Velocity v = alpha * noise - sigma * x0 of the variance-preserving process (Salimans and Ho 2022,
   * arXiv:2202.00512).
   */
  v: (sigma) => {
    const cIn = unitVariance(sigma);
    return { cIn, cOut: -sigma * cIn, cSkip: 1 / (sigma * sigma + 1) };
  },
  /** Clean latent. */
  x0: (sigma) => ({ cIn: unitVariance(sigma), cOut: 1, cSkip: 0 }),
  /** Velocity dx/dsigma = noise - x0 (Lipman et al. 2023, arXiv:2210.02747; Liu et al. 2023, arXiv:2209.03003). */
  flow: (sigma) => ({ cIn: 1, cOut: -sigma, cSkip: 1 }),
} satisfies Record<string, (sigma: number) => Scalings>;

export type Prediction = keyof typeof PREDICTIONS;

/** Returns the scalings of a prediction type at a sigma. @throws INVALID_OPTION for an unknown type */
export function scalings(prediction: Prediction, sigma: number): Scalings {
  if (!Object.hasOwn(PREDICTIONS, prediction)) {
    throw invalidOption('prediction', `one of ${Object.keys(PREDICTIONS).join(', ')}`, prediction);
  }
  return PREDICTIONS[prediction](sigma);
}
