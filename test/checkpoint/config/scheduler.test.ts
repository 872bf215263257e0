import { describe, expect, it } from 'vitest';
import {
  readDefaultSchedule,
  readSampling,
  readSchedulerConfig,
} from '../../../lib/checkpoint/config/diffusers/scheduler.js';

const read = (fields: Record<string, unknown>) => readSchedulerConfig(fields, 'scheduler_config.json');
const sampling = (fields: Record<string, unknown>) => readSampling(fields, 'scheduler_config.json');

describe('readSchedulerConfig', () => {
  it.each([
    ['DDIMScheduler', 'linear', 0.0001, 0.02],
    ['HeunDiscreteScheduler', 'linear', 0.00085, 0.012],
    ['LCMScheduler', 'scaled_linear', 0.00085, 0.012],
  ])(
    'uses the default betas of %s for those that the file lacks',
    (name, beta_schedule, beta_start, beta_end) => {
      expect(read({ _class_name: name })).toMatchObject({ beta_schedule, beta_start, beta_end });
      expect(read({ _class_name: name, beta_end: 0.5 })).toMatchObject({
        beta_schedule,
        beta_start,
        beta_end: 0.5,
      });
    },
  );

  it('reads the betas, the prediction and the terminal SNR of the file', () => {
    const betas = {
      beta_schedule: 'scaled_linear',
      beta_start: 0.001,
      beta_end: 0.01,
      num_train_timesteps: 500,
    };
    const file = { ...betas, prediction_type: 'v_prediction', rescale_betas_zero_snr: true };
    expect(read(file)).toEqual({ ...betas, prediction: 'v', rescale_zero_snr: true });
  });

  it.each([
    [{ _class_name: 'FlowMatchEulerDiscreteScheduler' }, 'UNSUPPORTED_MODEL'],
    [{ beta_start: 0.02, beta_end: 0.01 }, 'UNSUPPORTED_MODEL'],
    [{ trained_betas: [0.1, 0.2] }, 'UNSUPPORTED_MODEL'],
    [{ use_flow_sigmas: true }, 'UNSUPPORTED_MODEL'],
    [{ prediction_type: 'flow' }, 'UNSUPPORTED_MODEL'],
    [{ num_train_timesteps: 1 }, 'INVALID_FILE'],
    [{ beta_start: 'small' }, 'INVALID_FILE'],
  ])('rejects %j with %s', (fields, code) => {
    expect(() => read(fields)).toThrow(expect.objectContaining({ code }));
  });
});

describe('readSampling', () => {
  it.each([
    [{ _class_name: 'DDIMScheduler' }, { clip_x0: 1, ends_clean: true }],
    [{ _class_name: 'DDIMScheduler', set_alpha_to_one: false, clip_sample: false }, { ends_clean: false }],
    [
      { _class_name: 'DDPMScheduler', clip_sample_range: 2, set_alpha_to_one: false },
      { clip_x0: 2, ends_clean: true },
    ],
    [
      { _class_name: 'PNDMScheduler', steps_offset: 1 },
      { steps_offset: 1, ends_clean: false },
    ],
    [{ _class_name: 'PNDMScheduler', set_alpha_to_one: true }, { ends_clean: true }],
    [{ _class_name: 'EulerDiscreteScheduler', clip_sample: true }, { ends_clean: true }],
    [{}, { clip_x0: 1, steps_offset: 0 }],
  ])('derives from %j how the sampler clips and ends', (fields, expected) => {
    const result = sampling(fields);
    expect(result).toMatchObject(expected);
    expect('clip_x0' in result).toBe('clip_x0' in expected);
  });

  it('rejects an offset or range that is out of bounds', () => {
    expect(() => sampling({ steps_offset: -1 })).toThrow(expect.objectContaining({ code: 'INVALID_FILE' }));
    expect(() => sampling({ clip_sample_range: 0 })).toThrow(
      expect.objectContaining({ code: 'INVALID_FILE' }),
    );
  });
});

describe('readDefaultSchedule', () => {
  const of = (_class_name: string, timestep_spacing: unknown) =>
    readDefaultSchedule({ _class_name, timestep_spacing }).schedule;

  it('returns trailing for this timestep spacing, unless the class ignores it', () => {
    expect(of('EulerDiscreteScheduler', 'trailing')).toBe('trailing');
    expect(of('DDIMScheduler', 'trailing')).toBe('trailing');
    expect(of('LCMScheduler', 'trailing')).toBeUndefined();
    expect(of('TCDScheduler', 'trailing')).toBeUndefined();
    for (const spacing of ['leading', 'linspace', undefined, 3, ['trailing']])
      expect(of('EulerDiscreteScheduler', spacing)).toBeUndefined();
  });
});
