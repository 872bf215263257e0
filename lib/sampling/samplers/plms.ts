import type { Prediction as Predicts } from '../prediction.js';
import type { Latent, Sampler } from '../types.js';
import { combine, eulerStep, type Term } from '../vector.js';
import { intervals } from './steps.js';
import { toVariancePreserving } from './timesteps.js';

/** Adams-Bashforth weights of the network's last predictions, the newest first (Liu et al. 2022, equation 12). */
const WEIGHTS: readonly (readonly number[])[] = [
  [1],
  [3 / 2, -1 / 2],
  [23 / 12, -16 / 12, 5 / 12],
  [55 / 24, -59 / 24, 37 / 24, -9 / 24],
];

/** A prediction of the network at x, stored as x0 and converted to eps or v when used. */
interface Prediction {
  readonly x: Latent;
  readonly sigma: number;
  readonly denoised: Latent;
}

/**
 * Pseudo linear multistep method (Liu et al. 2022, arXiv:2202.09778): DDIM steps along an extrapolated prediction;
 * the first step uses the mean of the predictions at both of its ends. As in the reference, the network's own
 * prediction (eps or v) is extrapolated. Reference: diffusers `PNDMScheduler` (skip_prk_steps, leading, steps_offset
 * 1, set_alpha_to_one false).
 */
export function plms(prediction: Predicts): Sampler {
  const move = prediction === 'v' ? moveAlongV : moveAlongEps;
  return async function* (denoise, latent, sigmas) {
    let x = latent;
    let history: Prediction[] = []; // newest first
    for (const interval of intervals(sigmas)) {
      const { step, steps, sigma, sigmaNext } = interval;
      const now = { x, sigma, denoised: await denoise(x, sigma) };
      history = [now, ...history].slice(0, WEIGHTS.length);
      if (step === 0 && steps > 1) {
        const end = move(x, sigma, sigmaNext, [now], [1]);
        const atEnd = { x: end, sigma: sigmaNext, denoised: await denoise(end, sigmaNext) };
        x = move(x, sigma, sigmaNext, [now, atEnd], [1 / 2, 1 / 2]);
      } else {
        x = move(x, sigma, sigmaNext, history, WEIGHTS[history.length - 1]!);
      }
      if (step === steps - 1) x = toVariancePreserving(x, sigmaNext);
      yield { ...interval, latent: x, denoised: now.denoised };
    }
    return x;
  };
}

/** A DDIM step from sigma to sigmaNext along a weighted sum of predictions. */
type Move = (
  x: Latent,
  sigma: number,
  sigmaNext: number,
  predictions: readonly Prediction[],
  weights: readonly number[],
) => Latent;

/** eps = (x - x0) / sigma */
const moveAlongEps: Move = (x, sigma, sigmaNext, predictions, weights) =>
  combine(
    [1, x],
    ...predictions.flatMap((past, j): Term[] => {
      const weight = ((sigmaNext - sigma) * weights[j]!) / past.sigma;
      return [
        [weight, past.x],
        [-weight, past.denoised],
      ];
    }),
  );

/** v = (eps - sigma * x0) / sqrt(1 + sigma^2), and back x0 = (x / sqrt(1 + sigma^2) - sigma * v) / sqrt(1 + sigma^2) */
const moveAlongV: Move = (x, sigma, sigmaNext, predictions, weights) => {
  const scale = 1 / Math.sqrt(1 + sigma * sigma);
  const denoised = combine(
    [scale * scale, x],
    ...predictions.flatMap((past, j): Term[] => {
      const toV = weights[j]! / Math.sqrt(1 + past.sigma * past.sigma);
      const toX0 = -sigma * scale * toV;
      return [
        [toX0 / past.sigma, past.x],
        [-toX0 * (1 / past.sigma + past.sigma), past.denoised],
      ];
    }),
  );
  return eulerStep(x, denoised, sigma, sigmaNext);
};
