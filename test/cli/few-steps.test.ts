/** Defaults of few-step models and LoRAs through the compiled command line. */
import { mkdirSync, readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { readPngText } from '../../lib/image/png.js';
import { run, workFolder } from '../support/cli.js';
import { removeFolders, writeLora } from '../support/lora.js';
import { writeFolder } from '../support/tiny-models.js';

const work = workFolder();
mkdirSync(work.file('turbo'));
const turbo = writeFolder('sd1', work.file('turbo/sd-turbo'));
const plain = writeFolder('sd1', work.file('plain'));
afterAll(() => {
  work.remove();
  removeFolders();
});

const SIZE = ['--width', '32', '--height', '32', '--seed', '5', '--threads', '2', '--quiet'];

function generate(model: string, ...more: string[]) {
  const output = ['-o', work.file('out.png')];
  return run(['generate', 'a cat', '--model', model, ...output, ...SIZE, ...more], work.path);
}

function parameters(): string {
  return readPngText(readFileSync(work.file('out.png'))).parameters!;
}

describe('safelight generate with a few-step model', () => {
  it('prints the defaults that it uses in one line on stderr', async () => {
    const { code, stderr } = await generate(turbo);
    expect(code).toBe(0);
    expect(stderr).toBe(
      'safelight: Defaults for sd-turbo (Turbo model): steps 4, cfg 1, sampler euler_a, schedule trailing\n',
    );
    expect(parameters()).toContain('Steps: 4, Sampler: Euler a, Schedule type: Turbo, CFG scale: 1,');
  });

  it('prints them as JSON with --json, and only those that no flag overrides', async () => {
    const { stdout, stderr } = await generate(turbo, '--json', '--steps', '1', '--schedule', 'karras');
    expect(stderr).toBe('');
    const { defaults, warnings } = JSON.parse(stdout);
    expect(defaults).toEqual({ cfg: 1, sampler: 'euler_a' });
    expect(warnings).toEqual([
      {
        code: 'FEW_STEP_DEFAULTS',
        message: 'Defaults for sd-turbo (Turbo model): cfg 1, sampler euler_a',
      },
    ]);
  });

  it('prints nothing if flags give every option, and for other models', async () => {
    const all = ['--steps', '1', '--cfg', '2', '--sampler', 'euler', '--schedule', 'karras', '--json'];
    for (const model of [turbo, plain]) {
      const { stdout, stderr } = await generate(model, ...all);
      expect(stderr).toBe('');
      expect(JSON.parse(stdout)).not.toHaveProperty('defaults');
    }
  });
});

describe('safelight generate with a few-step LoRA', () => {
  it('uses its defaults and prints them', async () => {
    const lora = writeLora('sd1', 'attention', 'kohya', { name: 'lcm-lora-sdv1-5.safetensors' });
    const { code, stderr } = await generate(plain, '--lora', lora, '--cfg', '1');
    expect([code, stderr]).toEqual([
      0,
      'safelight: Defaults for lcm-lora-sdv1-5 (LCM LoRA): steps 6, sampler lcm\n',
    ]);
    expect(parameters()).toContain('Steps: 6, Sampler: LCM, CFG scale: 1,');
  });
});
