import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { readGguf } from '../../lib/checkpoint/formats/gguf.js';
import { readSafetensors } from '../../lib/checkpoint/formats/safetensors.js';
import { starterModel } from '../../lib/checkpoint/open.js';
import { readValues } from '../../lib/checkpoint/weights/read-tensor.js';
import { checkpoint, reference } from '../support/checkpoint/reference-names.js';
import { writeSparse } from '../support/checkpoint/sparse-files.js';
import { run, start, workFolder } from '../support/cli.js';

const folder = workFolder();
afterAll(folder.remove);
const out = folder.file('out.gguf');

describe('safelight convert', () => {
  it('writes the file and reports its contents', async () => {
    const { code, stdout, stderr } = await run(['convert', starterModel, out, '--storage', 'q4_K']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/out\.gguf {2}\d+\.\d MB in /);
    for (const type of ['f16', 'f32', 'q4_K', 'q5_0'])
      expect(stdout).toMatch(new RegExp(`^${type} +\\d+ +`, 'm'));
    expect(stderr).toMatch(/^Converting \d+%/);
    expect(readdirSync(folder.path)).toEqual(['out.gguf']);
  });

  it('converts f16 rows of any length exactly', async () => {
    // In a new process, where nothing else has prepared ggml.
    expect((await run(['convert', starterModel, out, '-q'])).code).toBe(0);
    const written = (await readGguf(out)).tensors.get('first_stage_model.decoder.conv_out.bias')!;
    const values = await readValues(written, 3);
    const source = await readSafetensors(`${starterModel}/vae/diffusion_pytorch_model.safetensors`);
    expect(values).toEqual(await readValues(source.tensors.get('decoder.conv_out.bias')!, 3));
    expect(values.some((value) => value !== 0)).toBe(true);
  });

  it('prints only JSON with --json, and inspect and generate read the file', async () => {
    const keep = ['--keep', '*.attn1.*=q8_0', '--keep', '*.out.2.weight=f32'];
    const { stdout } = await run([
      'convert',
      starterModel,
      out,
      '--storage',
      'q5_0',
      ...keep,
      '--json',
      '-q',
    ]);
    const summary = JSON.parse(stdout) as Record<string, unknown>;
    const { size, tensors, metadata } = await readGguf(out);
    expect(summary).toMatchObject({ file: out, bytes: size, family: 'sd1', tensors: tensors.size });
    expect(metadata.get('general.file_type')).toEqual({ type: 'uint32', value: 8 });
    expect(tensors.get('model.diffusion_model.out.2.weight')).toMatchObject({ dtype: 'F32' });
    const found = JSON.parse((await run(['inspect', out, '--json'])).stdout) as Record<string, unknown>;
    expect(found).toMatchObject({ form: 'file', family: 'sd1', problem: null });
    expect(found.defaults).toMatchObject({ sampler: 'dpmpp_2m' });
    const imageFile = folder.file('a.png');
    const generated = await run([
      'generate',
      'a cat',
      '--model',
      out,
      '--steps',
      '1',
      '--output',
      imageFile,
      '-q',
    ]);
    expect(generated).toMatchObject({ code: 0 });
    expect(readFileSync(imageFile).subarray(1, 4).toString()).toBe('PNG');
  });

  it.each([
    [['x.safetensors'], /must end in \.gguf/],
    [[out, '--storage', 'q2_K'], /Allowed choices are f16, q8_0, q5_0, q4_0, q4_K, q5_K, q6_K/],
    [[out, '--keep', 'a'], /Expected --keep to be PATTERN=TYPE/],
    [[out, '--keep', '*=q2_K'], /Expected --keep to be PATTERN=TYPE/],
    [[out, '--keep', 'nothing*=f16'], /matches at least one tensor/],
    [[out, '--threads', '0'], /Expected --threads to be an integer/],
  ])('reports what is wrong with %j', async (args, message) => {
    const { code, stderr } = await run(['convert', starterModel, ...args]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  it('leaves no partial file when it is interrupted and keeps the existing file', async () => {
    // 7 GB of zeros in a sparse file.
    const source = await writeSparse(folder.file('sdxl.safetensors'), checkpoint(reference.sdxl!));
    writeFileSync(out, 'old');
    const before = readdirSync(folder.path).sort();
    const running = start(['convert', source, out, '--storage', 'q5_K']);
    await running.stderrHas(/Converting \d/);
    running.child.kill('SIGINT');
    const { code, stderr } = await running.result;
    expect(code).toBe(130);
    expect(stderr).toContain('interrupted, no output was written');
    expect(readdirSync(folder.path).sort()).toEqual(before);
    expect(readFileSync(out, 'utf8')).toBe('old');
  });
});
