import { readdirSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { readGguf } from '../../lib/checkpoint/formats/gguf.js';
import { checkpoint, reference } from '../support/checkpoint/reference-names.js';
import { writeSparse } from '../support/checkpoint/sparse-files.js';
import { run, start, workFolder } from '../support/cli.js';
import { ALL_F32, floatsOf, weightsOf, writeModel } from '../support/merge.js';

const folder = workFolder();
afterAll(folder.remove);
const paths = Promise.all([
  writeModel('sd1', 'file', 'plain', folder.file('a')),
  writeModel('sd1', 'file', 'reversed', folder.file('b')),
  writeModel('sd1', 'gguf', 'rotated', folder.file('c')),
]);
const keep = ALL_F32.flatMap(({ pattern, type }) => ['--keep', `${pattern}=${type}`]);

describe('safelight merge', () => {
  it('adds the difference of B and C to A and prints only JSON with --json', async () => {
    const [a, b, c] = await paths;
    const out = folder.file('out.gguf');
    const options = [
      '--method',
      'add-difference',
      '--alpha',
      '0.5',
      '--output',
      out,
      ...keep,
      '--json',
      '-q',
    ];
    const { code, stdout, stderr } = await run(['merge', a, b, c, ...options]);
    expect([code, stderr]).toEqual([0, '']);
    const { tensors, size } = await readGguf(out);
    const summary = JSON.parse(stdout) as Record<string, unknown>;
    expect(summary).toMatchObject({ file: out, bytes: size, family: 'sd1', tensors: tensors.size, kept: [] });
    const name = 'model.diffusion_model.out.2.weight';
    const [actual, ...given] = [
      await floatsOf(out),
      ...(await Promise.all([a, b, c].map((path, i) => weightsOf(path, folder.file(`${i}-f32.gguf`))))),
    ].map((floats) => floats.get(name)!);
    let changed = 0;
    for (const [i, value] of actual!.entries()) {
      const [x, y, z] = given.map((floats) => floats[i]!);
      expect(value).toBeCloseTo(x! + 0.5 * (y! - z!), 6);
      if (Math.abs(value - x!) > 1e-4) changed++;
    }
    expect(changed).toBeGreaterThan(10);
  });

  it('writes a safetensors file that generate reads, and reports its contents', async () => {
    const [a, b] = await paths;
    const out = folder.file('mix.safetensors');
    const { code, stdout, stderr } = await run(['merge', a, b, '--output', out]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/mix\.safetensors {2}[\d.]+ [kM]B in /);
    expect(stdout).toMatch(/\d+ parameters merged$/m);
    expect(stderr).toMatch(/^Converting \d+%/);
    const args = ['--steps', '1', '--width', '32', '--height', '32', '--output', folder.file('a.png'), '-q'];
    expect(await run(['generate', 'a cat', '--model', out, ...args])).toMatchObject({ code: 0 });
  });

  it.each([
    [[], /missing --output/],
    [['-o', 'x.ckpt'], /must end in \.gguf or \.safetensors/],
    [['-o', 'x.gguf', '--method', 'add-difference'], /missing required argument 'c'/],
    [['-o', 'x.gguf', '--method', 'sum'], /Allowed choices are weighted-sum, add-difference/],
    [['-o', 'x.gguf', '--alpha', '3'], /Expected --alpha to be a number between -2 and 2/],
    [['-o', 'x.safetensors', '--storage', 'q8_0'], /write a \.gguf file instead/],
  ])('reports what is wrong with %j', async (args, message) => {
    const [a, b] = await paths;
    const { code, stderr } = await run(['merge', a, b, ...args], folder.path);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(readdirSync(folder.path).filter((name) => name.startsWith('x.'))).toEqual([]);
  });

  it('leaves no partial file when it is interrupted and keeps the existing file', async () => {
    // 2 GB of zeros in sparse files.
    const source = await writeSparse(folder.file('sd1.safetensors'), checkpoint(reference.sd1!));
    const out = folder.file('big.gguf');
    writeFileSync(out, 'old');
    const before = readdirSync(folder.path).sort();
    const running = start(['merge', source, source, '--output', out, '--storage', 'q5_K']);
    await running.stderrHas(/Converting [1-9]/);
    running.child.kill('SIGINT');
    const { code, stderr } = await running.result;
    expect(code).toBe(130);
    expect(stderr).toContain('interrupted, no output was written');
    expect(readdirSync(folder.path).sort()).toEqual(before);
  });
});
