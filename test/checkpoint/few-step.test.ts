import { describe, expect, it } from 'vitest';
import { fewStepLora, fewStepModel, fewStepNames } from '../../lib/checkpoint/few-step.js';

const model = (name: string) => fewStepModel({ names: [name] });
const OFF = { cfg: 1 };

describe('a few-step model', () => {
  it.each(['sd_turbo', 'sd-turbo', 'sd_xl_turbo_1.0_fp16', 'sdxl-turbo', 'SDXL Turbo', 'merge-sdxlturbo'])(
    'is recognized as Turbo by the name %s, with its image size',
    (name) => {
      expect(model(name)).toEqual({
        kind: 'Turbo',
        defaults: { steps: 4, ...OFF, sampler: 'euler_a', schedule: 'trailing', width: 512, height: 512 },
      });
    },
  );

  it.each([
    ['sdxl_lightning_4step', 4],
    ['SDXL-Lightning-8steps', 8],
    ['sdxl_lightning_2step_unet', 2],
    ['realvis_4step_lightning.v2', 4],
  ])('is recognized as Lightning by the name %s, with its number of steps', (name, steps) => {
    expect(model(name)).toEqual({
      kind: `${steps}-step Lightning`,
      defaults: { steps, ...OFF, sampler: 'euler', schedule: 'trailing' },
    });
  });

  it.each(['sdxl_lightning_1step_x0', 'sdxl_lightning_1step_unet_x0'])(
    'predicts x0 if its name is %s',
    (name) => {
      expect(model(name)).toMatchObject({ prediction: 'x0', defaults: { steps: 1 } });
    },
  );

  it('is recognized by classes of its folder, unless its name states more', () => {
    const classes = ['StableDiffusionPipeline', 'diffusers', 'LCMScheduler'];
    expect(fewStepModel({ names: ['mine'], classes })?.defaults).toEqual({
      steps: 6,
      cfg: 1.5,
      sampler: 'lcm',
    });
    expect(fewStepModel({ names: ['mine'], classes: ['TCDScheduler'] })?.kind).toBe('TCD');
    expect(fewStepModel({ names: ['sdxl-turbo'], classes })?.kind).toBe('Turbo');
    expect(fewStepModel({ names: ['mine'], classes: ['EulerDiscreteScheduler'] })).toBeUndefined();
  });

  it('is recognized as LCM by an embedding of the guidance scale, whatever its name', () => {
    const found = fewStepModel({ names: ['sdxl-turbo'], embedsGuidance: true });
    expect(found).toEqual({ kind: 'LCM', defaults: { steps: 4, cfg: 8.5, sampler: 'lcm' } });
  });

  it.each([
    'v1-5-pruned-emaonly',
    'sd3.5_large_turbo',
    'turbovision',
    'juggernaut_xl_lightning',
    'lightning',
    'hypernetwork',
    'Hyper-SDXL-1step-Unet',
    'Hyper-SD3-8steps-CFG-lora',
    'Hyper-SDXL',
    'calcmaker',
    'tcdefg',
    'film_photography',
  ])('is not recognized by the name %s', (name) => {
    expect(model(name)).toBeUndefined();
  });
});

describe('a few-step LoRA', () => {
  it.each([
    ['lcm-lora-sdv1-5', { steps: 6, cfg: 1.5, sampler: 'lcm' }],
    ['LCM_LoRA_Weights_SD15', { steps: 6, cfg: 1.5, sampler: 'lcm' }],
    ['lcmlora', { steps: 6, cfg: 1.5, sampler: 'lcm' }],
    ['DreamShaper_8LCM', { steps: 6, cfg: 1.5, sampler: 'lcm' }],
    ['TCD-SDXL-LoRA', { steps: 4, ...OFF, sampler: 'tcd', eta: 0.3 }],
    ['sdxl_lightning_8step_lora', { steps: 8, ...OFF, sampler: 'euler', schedule: 'trailing' }],
    ['sd_xl_turbo_lora', { steps: 4, ...OFF, sampler: 'euler_a', schedule: 'trailing' }],
    ['Hyper-SD15-4steps-lora', { steps: 4, ...OFF, sampler: 'ddim', schedule: 'trailing' }],
    ['Hyper-SDXL-8steps-CFG-lora', { steps: 8, sampler: 'ddim', schedule: 'trailing' }],
    ['Hyper-SDXL-12steps-CFG-lora', { steps: 12, sampler: 'ddim', schedule: 'trailing' }],
    ['Hyper-SDXL-1step-lora', { steps: 1, ...OFF, sampler: 'tcd', eta: 1 }],
  ])('has the defaults of its model card: %s', (name, defaults) => {
    expect(fewStepLora([name])?.defaults).toEqual(defaults);
  });

  it('is recognized by a title in its metadata', () => {
    const notes = new Map([['ss_output_name', 'lcm_sd15']]);
    expect(fewStepLora(fewStepNames('/loras/x.safetensors', notes))?.kind).toBe('LCM');
    const titled = new Map([['modelspec.title', 'SDXL Lightning 4step']]);
    expect(fewStepLora(fewStepNames('/loras/x.safetensors', titled))?.kind).toBe('4-step Lightning');
  });
});

describe('the name of a model or LoRA', () => {
  it.each([
    ['/models/sd_xl_turbo_1.0.safetensors', 'sd_xl_turbo_1.0'],
    ['/models/sdxl-turbo', 'sdxl-turbo'],
    ['/loras/lcm-lora-sdv1-5/pytorch_lora_weights.safetensors', 'lcm-lora-sdv1-5'],
    ['/cache/models--h1t--TCD-SD15-LoRA/snapshots/abc/pytorch_lora_weights.safetensors', 'TCD-SD15-LoRA'],
    ['/cache/models--stabilityai--sd-turbo/snapshots/abc', 'sd-turbo'],
    ['/lcm-experiments/sd15.safetensors', 'sd15'],
  ])('of %s is %s', (path, name) => {
    expect(fewStepNames(path)).toEqual([name]);
  });
});
