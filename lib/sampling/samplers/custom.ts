/** Custom samplers passed as functions: validation of their steps and of their calls of the denoiser. */
import { invalidOption, SafelightError } from '../../errors.js';
import { throwIfNotFinite } from '../../tensor/finite.js';
import { isFlow, type NoiseSchedule } from '../noise-schedule.js';
import type { Denoise, Latent, Sampler, SamplerStep } from '../types.js';
import type { RunnableSampler } from './registry.js';

/** A custom sampler: yields its steps and returns the final latent. Errors it throws reject the call. */
export type SamplerFunction = Sampler;

/** Wraps a function as a runnable sampler, which uses the schedule and supports batches of any size. */
export function customSampler(sampler: SamplerFunction): RunnableSampler {
  return {
    name: undefined,
    label: 'Custom',
    aliases: [],
    callsPerStep: 1,
    ancestral: false,
    usesBrownian: false,
    defaultEta: undefined,
    a1111Eta: undefined,
    churns: true,
    ownsSchedule: false,
    a1111IgnoresSchedule: false,
    initialNoise: 'sigma',
    discardsPenultimate: false,
    maxBatch: Number.POSITIVE_INFINITY,
    automaticSchedule: 'discrete',
    flow: 'same',
    create: ({ schedule }) => guarded(sampler, schedule),
  };
}

/** Iterator of an unvalidated function. */
interface Steps {
  next(): unknown;
  return?(): unknown;
}

function guarded(sampler: SamplerFunction, schedule: NoiseSchedule): Sampler {
  return async function* (denoise, latent, sigmas, noise, options) {
    const size = latent.length;
    // An async function that is not a generator returns a promise; its rejection rejects the call.
    const steps: unknown = await sampler(
      guardedDenoise(denoise, size, schedule),
      latent,
      sigmas,
      noise,
      options,
    );
    if (!isSteps(steps)) {
      const expected = 'the name of a sampler or an async generator function (see docs/research.md)';
      throw invalidOption('sampler', expected, sampler);
    }
    let ended = false;
    try {
      for (;;) {
        const next = await steps.next();
        if (!isRecord(next))
          throw invalidOption("the sampler's next()", 'an object with done and value', next);
        ended = next.done === true;
        if (ended) return checkLatent('the latent that the sampler returned', next.value, size);
        yield checkStep(next.value, size);
      }
    } finally {
      if (!ended) await steps.return?.();
    }
  };
}

function guardedDenoise(denoise: Denoise, size: number, schedule: NoiseSchedule): Denoise {
  const maxSigma = isFlow(schedule) ? 1 : Number.MAX_VALUE;
  return async (x, sigma) => {
    const latent = checkLatent('the latent that the sampler passed to denoise', x, size);
    if (!(typeof sigma === 'number' && sigma > 0 && sigma <= maxSigma))
      throw invalidOption(
        'the sigma that the sampler passed to denoise',
        maxSigma === 1 ? 'a number above 0 and at most 1' : 'a finite number above 0',
        sigma,
      );
    return denoise(latent, sigma);
  };
}

/** @throws INVALID_OPTION, SHAPE_MISMATCH, NOT_FINITE */
function checkStep(value: unknown, size: number): SamplerStep {
  if (!isRecord(value))
    throw invalidOption("the sampler's step", '{ step, steps, sigma, sigmaNext, latent, denoised }', value);
  const number = (name: string): number => {
    const field = value[name];
    if (typeof field === 'number' && Number.isFinite(field)) return field;
    throw invalidOption(`${name} of the sampler's step`, 'a finite number', field);
  };
  return {
    step: number('step'),
    steps: number('steps'),
    sigma: number('sigma'),
    sigmaNext: number('sigmaNext'),
    latent: checkLatent("latent of the sampler's step", value.latent, size),
    denoised: checkLatent("denoised of the sampler's step", value.denoised, size),
  };
}

function checkLatent(what: string, value: unknown, size: number): Latent {
  if (!(value instanceof Float32Array)) throw invalidOption(what, `a Float32Array of ${size} numbers`, value);
  if (value.length !== size)
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `Expected ${size} numbers in ${what}, received ${value.length}`,
    );
  throwIfNotFinite(value, what.charAt(0).toUpperCase() + what.slice(1));
  return value;
}

function isSteps(value: unknown): value is Steps {
  return isRecord(value) && typeof value.next === 'function';
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
