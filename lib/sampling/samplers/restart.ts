import type { Sampler } from '../types.js';
import { combine } from '../vector.js';
import { heunStep } from './heun.js';
import { intervals } from './steps.js';

/** Sigmas between which steps are repeated (A1111's default restart list). */
const RESTART_FROM = 2;
const RESTART_TO = 0.1;

/**
 * Restart sampling (Xu et al. 2023, arXiv:2306.14878): Heun steps that repeatedly return to a higher sigma by adding
 * noise. With 20 or more steps, some of them are used for restarts and the sigmas follow a Karras schedule between
 * the ends of the given one; with fewer steps it equals Heun. Reference: A1111 `restart_sampler` with its default
 * restart list.
 */
export const restart: Sampler = async function* (denoise, latent, sigmas, noise, { sNoise = 1 } = {}) {
  let x = latent;
  let reached: number | undefined;
  const walk = restartWalk(sigmas);
  for (const [step, { sigma, sigmaNext }] of walk.entries()) {
    if (reached !== undefined && reached < sigma) {
      x = combine([1, x], [sNoise * Math.sqrt(sigma ** 2 - reached ** 2), noise.next()]);
    }
    const stepped = await heunStep(denoise, x, sigma, sigmaNext);
    x = stepped.x;
    reached = sigmaNext;
    yield { step, steps: walk.length, sigma, sigmaNext, latent: x, denoised: stepped.denoised };
  }
  return x;
};

/** Returns the steps in order, including restarts. */
export function restartWalk(sigmas: readonly number[]): { sigma: number; sigmaNext: number }[] {
  const steps = sigmas.length - 1;
  if (steps < 20) return intervals(sigmas);
  const [times, length] = steps >= 36 ? [2, Math.floor(steps / 4)] : [1, 9];
  const main = karras(steps - length * times, sigmas[steps - 1]!, sigmas[0]!);
  const [low, high] = [nearest(main, RESTART_TO), nearest(main, RESTART_FROM)];
  if (high >= low) return intervals(main);
  const loop = intervals(karras(length + 1, main[low]!, main[high]!).slice(0, -1));
  const steady = intervals(main);
  return [...steady.slice(0, low), ...Array.from({ length: times }, () => loop).flat(), ...steady.slice(low)];
}

/** Returns n sigmas, evenly spaced in their seventh root, and 0 (Karras et al. 2022, equation 5). */
function karras(n: number, min: number, max: number): number[] {
  const [from, to] = [max ** (1 / 7), min ** (1 / 7)];
  return [...Array.from({ length: n }, (_, i) => (from + (i / (n - 1)) * (to - from)) ** 7), 0];
}

function nearest(sigmas: readonly number[], target: number): number {
  const distances = sigmas.map((sigma) => Math.abs(sigma - target));
  return distances.indexOf(Math.min(...distances));
}
