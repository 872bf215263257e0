/** A sampler of the caller's own, held to what a pipeline needs of one. */
import { invalidOption, SafelightError } from '../../errors.js';
import { throwIfNotFinite } from '../../tensor/finite.js';
import { isFlow, type NoiseSchedule } from '../noise-schedule.js';
import type { Denoise, Latent, Sampler, SamplerStep } from '../types.js';
import type { RunnableSampler } from './registry.js';

/** A sampler as a function: yields its steps and returns the last latent. What it throws ends the call with that error. */
export type SamplerFunction = Sampler;

/** The facts of a sampler that is only known as a function: it runs on the schedule, and several images may share its batch. */
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
    initialNoise: 'sigma',
    discardsPenultimate: false,
    maxBatch: Number.POSITIVE_INFINITY,
    automaticSchedule: 'discrete',
    flow: 'same',
    create: ({ schedule }) => guarded(sampler, schedule),
  };
}

/** Steps of a function that nobody has checked. */
interface Steps {
  next(): unknown;
  return?(): unknown;
}

function guarded(sampler: SamplerFunction, schedule: NoiseSchedule): Sampler {
  return async function* (denoise, latent, sigmas, noise, options) {
    const size = latent.length;
    // An async function that is no generator gives a promise, whose failure is the call's.
    const steps: unknown = await sampler(
      guardedDenoise(denoise, size, schedule),
      latent,
      sigmas,
      noise,
      options,
    );
    if (!isSteps(steps)) {
      const expected =
        'a sampler\'s name, or an async generator function (see "Samplers of one\'s own" in docs/research.md),';
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
  const most = isFlow(schedule) ? 1 : Number.MAX_VALUE;
  return async (x, sigma) => {
    const given = checkLatent('the latent that the sampler gave to denoise', x, size);
    if (!(typeof sigma === 'number' && sigma > 0 && sigma <= most))
      throw invalidOption(
        'the sigma that the sampler gave to denoise',
        most === 1 ? 'number above 0, at most 1,' : 'finite number above 0',
        sigma,
      );
    return denoise(given, sigma);
  };
}

/** @throws INVALID_OPTION, SHAPE_MISMATCH, NOT_FINITE */
function checkStep(value: unknown, size: number): SamplerStep {
  if (!isRecord(value))
    throw invalidOption("the sampler's step", '{ step, steps, sigma, sigmaNext, latent, denoised }', value);
  const number = (name: string): number => {
    const given = value[name];
    if (typeof given === 'number' && Number.isFinite(given)) return given;
    throw invalidOption(`${name} of the sampler's step`, 'finite number', given);
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
  if (!(value instanceof Float32Array)) throw invalidOption(what, `Float32Array of ${size} numbers`, value);
  if (value.length !== size)
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `Expected ${size} numbers in ${what} but received ${value.length}`,
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
