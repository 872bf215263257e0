import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readImage } from '../../lib/image/read.js';
import { run, workFolder } from '../support/cli.js';
import {
  caseNamed,
  commandLine,
  expectedPath,
  imagePath,
  largestDifference,
  readLatent,
  relativeError,
} from '../support/pipeline-cases.js';
import { writeFolder } from '../support/tiny-models.js';

const folder = workFolder();
beforeAll(() => {
  for (const model of ['sd1', 'sd2', 'sdxl', 'inpaint'] as const) writeFolder(model, folder.file(model));
});
afterAll(folder.remove);

describe('safelight generate against the reference', () => {
  it.each([
    'sd1-euler-karras',
    'sd1-dpmpp-2m-sde-cuda',
    'sd1-clip-skip',
    'sd1-ddim-eta',
    'sd2-x0',
    'sdxl-negative',
    'prompt-break',
    'image-sample',
    'image-resized',
    'mask-nothing',
    'mask-only',
    'mask-inpaint',
    'hires-lanczos',
  ])('matches %s', async (name) => {
    const one = caseNamed(name);
    const output = folder.file(`${name}.png`);
    const args = [
      'generate',
      '--model',
      folder.file(one.model),
      '--storage',
      'f32',
      '--output',
      output,
      '--json',
    ];
    const { code, stdout, stderr } = await run([...args, ...commandLine(one)]);
    expect(stderr).not.toContain('safelight:');
    expect(code).toBe(0);
    const { images } = JSON.parse(stdout) as { images: { file: string }[] };
    expect(images).toHaveLength(one.images.length);
    for (const [i, { file }] of images.entries()) {
      const [actual, expected] = [await readImage(file), await readImage(expectedPath(one.images[i]!))];
      expect([actual.width, actual.height]).toEqual([expected.width, expected.height]);
      expect(largestDifference(actual.data, expected.data)).toBeLessThanOrEqual(2);
    }
  });
});

describe('safelight encode and decode', () => {
  it('writes the mean of the encoder as the reference computes it', async () => {
    const output = folder.file('mean.npy');
    const { code, stdout } = await run([
      'encode',
      imagePath('init.png'),
      '--model',
      folder.file('sd1'),
      '--output',
      output,
      '--json',
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ file: output, shape: [1, 4, 16, 16] });
    const latent = readLatent(output);
    expect([latent.dtype, latent.shape]).toEqual(['f32', [1, 4, 16, 16]]);
    expect(relativeError(latent.data, readLatent(expectedPath('encode-sd1.npy')).data)).toBeLessThan(1e-3);
  });

  it('samples the posterior with a seed', async () => {
    const output = folder.file('sample.npy');
    const args = ['encode', imagePath('init.png'), '--model', folder.file('sdxl'), '--output', output];
    expect((await run([...args, '--posterior', 'sample', '--seed', '5'])).code).toBe(0);
    const expected = readLatent(expectedPath('encode-sdxl-sample-5.npy'));
    expect(relativeError(readLatent(output).data, expected.data)).toBeLessThan(1e-3);
  });

  it('decodes the last latent of a run into its image', async () => {
    const one = caseNamed('sd1-heun');
    const output = folder.file('decoded.png');
    const { code, stdout } = await run([
      'decode',
      expectedPath('sd1-heun.npy'),
      '--model',
      folder.file('sd1'),
      '--output',
      output,
    ]);
    expect(code).toBe(0);
    expect(stdout).toContain('64x64');
    const [actual, expected] = [await readImage(output), await readImage(expectedPath(one.images[0]!))];
    expect(largestDifference(actual.data, expected.data)).toBeLessThanOrEqual(2);
  });

  it('decodes several images of one file, by default into the current folder', async () => {
    const args = ['decode', expectedPath('sd1-euler-a.npy'), '--model', folder.file('sd1'), '--json'];
    const { images } = JSON.parse((await run(args, folder.path)).stdout) as { images: { file: string }[] };
    expect(images.map(({ file }) => file)).toEqual([
      'sd1-euler-a.png',
      'sd1-euler-a-2.png',
      'sd1-euler-a-3.png',
    ]);
  });

  it.each([
    ['a text file', Buffer.from('hello')],
    ['a truncated file', readFileSync(expectedPath('sd1-heun.npy')).subarray(0, 2000)],
  ])('rejects %s', async (_, bytes) => {
    const { writeFileSync } = await import('node:fs');
    writeFileSync(folder.file('bad.npy'), bytes);
    const { code, stderr } = await run([
      'decode',
      folder.file('bad.npy'),
      '--output',
      folder.file('bad.png'),
    ]);
    expect(stderr).toMatch(/^safelight: [^\n]+\n$/);
    expect(code).toBe(1);
  });
});
