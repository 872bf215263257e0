/** Default options of few-step models and LoRAs: where they apply, and how they are stated and recorded. */
import { cpSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readPngText } from '../../../lib/image/png.js';
import { restoreOptions } from '../../../lib/options/infotext/restore.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { LoadPipelineOptions } from '../../../lib/pipelines/model/load-options.js';
import type { GenerateOptions } from '../../../lib/pipelines/options.js';
import { inspectModel } from '../../../lib/tools/inspect.js';
import { removeFolders, temporaryFolder, writeLora } from '../../support/lora.js';
import { editJson, writeFolder, writeSingleFile } from '../../support/tiny-models.js';

const root = mkdtempSync(join(tmpdir(), 'safelight-few-step-defaults-'));
const pipelines: Pipeline[] = [];
afterAll(async () => {
  for (const pipeline of pipelines) await pipeline.dispose();
  rmSync(root, { recursive: true, force: true });
  removeFolders();
});

const plainFolder = writeFolder('sd1', join(root, 'plain'));
const turboFile = writeSingleFile('sd1', join(root, 'sd_turbo.safetensors'));
const SIZE = { width: 32, height: 32, seed: 4 } as const;

async function load(path: string, options: LoadPipelineOptions = {}): Promise<Pipeline> {
  const pipeline = await Pipeline.load(path, options);
  pipelines.push(pipeline);
  return pipeline;
}

/** Returns the recorded sampling options, the stated defaults and the statement. */
async function sampling(pipeline: Pipeline, options: GenerateOptions) {
  const { images, defaults, warnings } = await pipeline.generate({ prompt: 'a cat', ...SIZE, ...options });
  const exact = restoreOptions(readPngText(await images[0]!.png())).options;
  const { steps, cfg, sampler, schedule, eta } = exact;
  const statement = warnings.find(({ code }) => code === 'FEW_STEP_DEFAULTS')?.message;
  return { recorded: { steps, cfg, sampler, schedule, eta }, defaults, statement, image: images[0]! };
}

function lora(name: string, metadata?: Record<string, string>): string {
  return writeLora('sd1', 'attention', 'kohya', { name, ...(metadata ? { metadata } : {}) });
}

describe('defaults of a few-step model', () => {
  it('apply by the name of its file and are stated', async () => {
    const pipeline = await load(turboFile);
    const { recorded, defaults, statement } = await sampling(pipeline, {});
    expect(recorded).toEqual({
      ...{ steps: 4, cfg: 1, sampler: 'euler_a', schedule: 'trailing', eta: undefined },
    });
    expect(defaults).toEqual({ steps: 4, cfg: 1, sampler: 'euler_a', schedule: 'trailing' });
    expect(statement).toBe(
      'Defaults for sd_turbo (Turbo model): steps 4, cfg 1, sampler euler_a, schedule trailing',
    );
    expect(pipeline.info).toMatchObject({ width: 512, height: 512 });
    expect((await inspectModel(turboFile)).defaults).toMatchObject({
      steps: 4,
      sampler: 'euler_a',
      width: 512,
    });
  });

  it('yield to what the caller gives, and only the rest is stated', async () => {
    const pipeline = await load(turboFile);
    const some = await sampling(pipeline, { steps: 2, sampler: 'dpmpp_2m' });
    expect(some.recorded).toMatchObject({ steps: 2, cfg: 1, sampler: 'dpmpp_2m', schedule: 'trailing' });
    expect(some.defaults).toEqual({ cfg: 1, schedule: 'trailing' });
    // A named sampler with its own timesteps runs on these.
    const own = await sampling(pipeline, { sampler: 'lcm', cfg: 2 });
    expect(own.recorded).toMatchObject({ steps: 4, cfg: 2, sampler: 'lcm', schedule: undefined });
    expect(own.defaults).toEqual({ steps: 4 });
    const all = await sampling(pipeline, { steps: 2, cfg: 2, sampler: 'euler', schedule: 'karras' });
    expect([all.defaults, all.statement]).toEqual([undefined, undefined]);
    const given = await sampling(pipeline, { sigmas: [10, 1], sampler: 'euler' });
    expect(given.defaults).toEqual({ cfg: 1 });
  });

  it('yield to safelight.json of its folder', async () => {
    const folder = join(root, 'sdxl-turbo');
    cpSync(plainFolder, folder, { recursive: true });
    writeFileSync(join(folder, 'safelight.json'), '{"steps":3,"schedule":"karras"}');
    const { recorded, defaults } = await sampling(await load(folder), {});
    expect(recorded).toMatchObject({ steps: 3, cfg: 1, sampler: 'euler_a', schedule: 'karras' });
    expect(defaults).toEqual({ cfg: 1, sampler: 'euler_a' });
  });

  it('include the prediction of x0, which the option overrides', async () => {
    const path = writeSingleFile('sd1', join(root, 'sdxl_lightning_1step_x0.safetensors'));
    expect((await load(path)).info.prediction).toBe('x0');
    expect((await load(path, { prediction: 'v' })).info.prediction).toBe('v');
    expect((await sampling(await load(path), {})).recorded).toMatchObject({ steps: 1, schedule: 'trailing' });
    expect(await inspectModel(path)).toMatchObject({ predictionFrom: { kind: 'few-step' } });
  });

  it('apply by the scheduler of its folder', async () => {
    const folder = join(root, 'mine');
    cpSync(plainFolder, folder, { recursive: true });
    editJson(join(folder, 'model_index.json'), { scheduler: ['diffusers', 'LCMScheduler'] });
    editJson(join(folder, 'scheduler', 'scheduler_config.json'), { _class_name: 'LCMScheduler' });
    expect((await sampling(await load(folder), {})).defaults).toEqual({ steps: 6, cfg: 1.5, sampler: 'lcm' });
  });
});

describe('a folder whose scheduler has trailing timesteps', () => {
  it('uses them by default, with any sampler that uses a schedule', async () => {
    const folder = join(root, 'trailing');
    cpSync(plainFolder, folder, { recursive: true });
    editJson(join(folder, 'scheduler', 'scheduler_config.json'), { timestep_spacing: 'trailing' });
    const pipeline = await load(folder);
    const { recorded, statement } = await sampling(pipeline, { steps: 2 });
    expect(recorded).toMatchObject({ cfg: 7, sampler: 'dpmpp_2m', schedule: 'trailing' });
    expect(statement).toBeUndefined();
    const euler = await sampling(pipeline, { steps: 2, sampler: 'euler', schedule: 'karras' });
    expect(euler.recorded.schedule).toBe('karras');
    expect((await sampling(await load(plainFolder), { steps: 2 })).recorded.schedule).toBe('karras');
  });
});

describe('defaults of a few-step LoRA', () => {
  it('apply to the option loras', async () => {
    const pipeline = await load(plainFolder);
    const loras = [{ path: lora('lcm-lora-sdv1-5.safetensors') }];
    const { recorded, defaults, statement, image } = await sampling(pipeline, { loras });
    expect(recorded).toEqual({ steps: 6, cfg: 1.5, sampler: 'lcm', schedule: undefined, eta: undefined });
    expect(defaults).toEqual({ steps: 6, cfg: 1.5, sampler: 'lcm' });
    expect(statement).toBe('Defaults for lcm-lora-sdv1-5 (LCM LoRA): steps 6, cfg 1.5, sampler lcm');
    const given = { steps: 6, cfg: 1.5, sampler: 'lcm' } as const;
    expect(image.data).toEqual((await sampling(pipeline, { loras, ...given })).image.data);
  });

  it('apply to tags in prompts, after styles and dynamic prompts', async () => {
    const loraFolder = temporaryFolder();
    renameSync(
      lora('Hyper-SD15-1step-lora.safetensors'),
      join(loraFolder, 'Hyper-SD15-1step-lora.safetensors'),
    );
    const pipeline = await load(plainFolder, { loraFolder });
    const tagged = await sampling(pipeline, { prompt: 'a cat <lora:Hyper-SD15-1step-lora:0.8>' });
    expect(tagged.recorded).toMatchObject({ steps: 1, cfg: 1, sampler: 'tcd', eta: 1 });
    const dynamic = { prompt: 'a {cat <lora:Hyper-SD15-1step-lora:1>}', dynamicPrompts: true };
    expect((await sampling(pipeline, dynamic)).recorded).toMatchObject({ steps: 1, eta: 1 });
    expect((await sampling(pipeline, { steps: 2 })).recorded).toMatchObject({ cfg: 7, sampler: 'dpmpp_2m' });
    const list = await pipeline.generate({
      ...SIZE,
      prompt: [tagged.image.parameters.split('\n')[0]!, 'a fox'],
      steps: 1,
    });
    expect(list.images.map(({ parameters }) => /Sampler: [^,]+/.exec(parameters)![0])).toEqual([
      'Sampler: TCD',
      'Sampler: DPM++ 2M',
    ]);
  });

  it('are recognized by metadata, and the first recognized LoRA applies', async () => {
    const pipeline = await load(plainFolder);
    const named = { path: lora('style.safetensors', { ss_output_name: 'sdxl_lightning_2step_lora' }) };
    const { recorded } = await sampling(pipeline, { loras: [{ path: lora('other.safetensors') }, named] });
    expect(recorded).toMatchObject({ steps: 2, sampler: 'euler', schedule: 'trailing' });
    const off = [{ ...named, weight: 0 }, { path: lora('tcd-lora.safetensors') }];
    expect((await sampling(pipeline, { loras: off })).recorded).toMatchObject({ sampler: 'tcd', eta: 0.3 });
  });

  it('yield to what the caller gives, and do not bring their eta to another sampler', async () => {
    const pipeline = await load(plainFolder);
    const loras = [{ path: lora('tcd_sd15.safetensors') }];
    const { recorded, defaults } = await sampling(pipeline, { loras, sampler: 'euler_a', cfg: 3 });
    expect(recorded).toEqual({ steps: 4, cfg: 3, sampler: 'euler_a', schedule: 'karras', eta: undefined });
    expect(defaults).toEqual({ steps: 4 });
  });

  it('do not apply to a model with its own few-step defaults', async () => {
    const loras = [{ path: lora('lcm.safetensors') }];
    const { recorded, statement } = await sampling(await load(turboFile), { loras });
    expect(recorded).toMatchObject({ steps: 4, sampler: 'euler_a' });
    expect(statement).toContain('sd_turbo (Turbo model)');
  });

  it('apply to the second pass too, which is restored from the image', async () => {
    const pipeline = await load(plainFolder);
    const loras = [{ path: lora('lcm.safetensors') }];
    const hires = { scale: 1.5, strength: 0.5, prompt: 'a dog' } as const;
    const { images } = await pipeline.generate({ prompt: 'a cat', ...SIZE, loras, hires });
    const { parameters, safelight } = readPngText(await images[0]!.png());
    expect(parameters).toContain('Steps: 6, Sampler: LCM, CFG scale: 1.5');
    expect(parameters).not.toContain('Schedule type');
    const { options } = restoreOptions({ safelight: safelight! });
    expect(options.hires).toMatchObject({ prompt: expect.stringContaining('a dog') });
    expect(options.hires).not.toHaveProperty('sampler');
    const loraFolder = dirname(loras[0]!.path);
    const again = await (await load(plainFolder, { loraFolder })).generate(options);
    expect(again.images[0]!.data).toEqual(images[0]!.data);
    expect(again.warnings.map(({ code }) => code)).not.toContain('FEW_STEP_DEFAULTS');
  });
});
