import { describe, expect, it } from 'vitest';
import { resolveSamplingOptions } from '../../../lib/options/settings/sampling.js';
import {
  fullSigmas,
  partialSigmas,
  type ScheduledModel,
} from '../../../lib/pipelines/diffusion/denoising/sigmas.js';
import { FlowSchedule } from '../../../lib/sampling/flow-schedule.js';
import { scheduleSigmas } from '../../../lib/sampling/schedules/index.js';

const schedule = new FlowSchedule({ shift: 3 });
const model: ScheduledModel = {
  noiseSchedule: () => schedule,
  alignYourSteps: undefined,
  shape: [1, 16, 8, 8],
};
const settings = (sampler: string, more = {}) =>
  resolveSamplingOptions({ sampler, schedule: 'simple', steps: 8, ...more }, {});

describe('sigmas of a run on a flow-matching model', () => {
  const simple = scheduleSigmas('simple', 8, { schedule });

  it.each(['euler', 'dpmpp_2m', 'unipc', 'lcm'])('are those of the schedule for %s', (sampler) => {
    expect(fullSigmas(settings(sampler), model).sigmas).toEqual(simple);
  });

  it('are cut by the strength', () => {
    const run = { steps: 8, strength: 0.5, mode: 'share' } as const;
    expect(partialSigmas(settings('euler'), model, run).sigmas).toEqual(simple.slice(3));
  });

  it.each(['ddim', 'plms', 'tcd', 'restart', 'dpm_adaptive'])('are rejected for %s', (sampler) => {
    expect(() => fullSigmas(settings(sampler), model)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining('one of euler') }),
    );
  });

  it('are rejected with churn', () => {
    expect(() => fullSigmas(settings('euler', { sChurn: 1 }), model)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining('sChurn') }),
    );
  });
});
