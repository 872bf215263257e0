import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Inspection } from '../../lib/tools/inspect.js';
import { MAIN, run, workFolder } from '../support/cli.js';
import { writeSafetensors, writeSingleFile } from '../support/tiny-models.js';

const folder = workFolder();
const file = folder.file('sdxl.safetensors');
beforeAll(() => {
  writeSingleFile('sdxl', file);
});
afterAll(folder.remove);

async function inspect(...args: string[]): Promise<Inspection> {
  const { code, stdout } = await run(['inspect', '--json', ...args]);
  expect(code).toBe(0);
  return JSON.parse(stdout) as Inspection;
}

describe('safelight inspect', () => {
  it('reports family, configs, types and the weight plan of a single file', async () => {
    const found = await inspect(file);
    expect(found).toMatchObject({ form: 'file', family: 'sdxl', problem: null });
    expect(found.components.map(({ name, dialect }) => [name, dialect])).toEqual([
      ['text_encoder', 'transformers'],
      ['text_encoder_2', 'openclip'],
      ['unet', 'ldm'],
      ['vae', 'ldm'],
    ]);
    expect(found.dtypes[0]).toMatchObject({ dtype: 'F16' });
    expect(found.ignored.map(({ name }) => name)).toContain('model_ema.decay');
    const entry = found.components[2]!.plan!.entries.find(({ name }) => name === 'conv_in.weight')!;
    expect(entry).toMatchObject({ shape: [32, 4, 3, 3], storage: 'f16', source: { type: 'F16' } });
    expect(found).not.toHaveProperty('tensors');
  });

  it('plans another storage and lists tensors on request', async () => {
    const found = await inspect(file, '--tensors', '--storage', 'q8_0');
    expect(found.tensors.length).toBeGreaterThan(900);
    const storages = new Set(found.components[2]!.plan!.entries.map(({ storage }) => storage));
    expect(storages).toContain('q8_0');
  });

  it('prints a readable report', async () => {
    const { stdout } = await run(['inspect', file]);
    expect(stdout).toContain('Stable Diffusion XL, single file');
    expect(stdout).toMatch(/unet +ldm +9\.\d+ M +18\.\d MB +f16/);
    expect(stdout).toContain('Not used: model_ema.decay F32 []');
    expect((await run(['inspect', file, '--tensors'])).stdout).toMatch(
      /model\.diffusion_model\.input_blocks\.0\.0\.weight +F16 +\[32, 4, 3, 3\] .*unet conv_in\.weight \(f16\)/,
    );
  });

  it('reports the tensors of a safetensors file that is not a model', async () => {
    const other = folder.file('other.safetensors');
    writeSafetensors(other, new Map([['a', { dtype: 'BOOL', shape: [3], data: new Uint8Array(3) }]]));
    const found = await inspect(other);
    expect(found).toMatchObject({ form: 'other', family: null, components: [] });
    expect(found.problem).toBeTruthy();
  });

  it('fails for a file that is not safetensors', async () => {
    writeFileSync(folder.file('text.safetensors'), 'hello, this is text');
    const { code, stdout, stderr } = await run(['inspect', folder.file('text.safetensors'), '--json']);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^safelight: [^\n]+\n$/);
  });

  it('exits silently when its reader closes the pipe', async () => {
    const child = spawn(process.execPath, [MAIN, 'inspect', file, '--tensors'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stderr = '';
    child.stderr.on('data', (data: Buffer) => {
      stderr += data.toString();
    });
    child.stdout.once('data', () => child.stdout.destroy());
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect([code, stderr]).toEqual([0, '']);
  });
});

describe('safelight backends', () => {
  it('lists at least the CPU', async () => {
    const { code, stdout } = await run(['backends', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toContainEqual(expect.objectContaining({ name: 'cpu', device: 'CPU' }));
    expect((await run(['backends'])).stdout).toMatch(
      /^backend +device +type +memory free +opens +description\n/,
    );
  });
});
