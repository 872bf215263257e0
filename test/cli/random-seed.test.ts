/** A seed of -1 means a random seed, as in other tools, and the seed that is chosen is reported. */
import { writeFileSync } from 'node:fs';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startSession, workFolder } from '../support/cli.js';

let folder: ReturnType<typeof workFolder>;
beforeAll(async () => {
  folder = workFolder();
  const gray = sharp({ create: { width: 200, height: 160, channels: 3, background: 'gray' } });
  writeFileSync(folder.file('gray.png'), await gray.png().toBuffer());
});
afterAll(() => folder.remove());
const { run, end } = startSession();
afterAll(end);

const small = ['--steps', '1', '--width', '32', '--height', '32', '--json'];

it.each([
  ['generate', ['generate', 'a red apple', ...small], ['--seed', '-1']],
  ['generate, with an equals sign', ['generate', 'a red apple', ...small], ['--seed=-1']],
  ['generate, with the short flag', ['generate', 'a red apple', ...small], ['-s', '-1']],
  ['sample', ['sample', '--width', '48', '--height', '48', '--json'], ['--seed', '-1']],
  ['sketch', ['sketch', 'gray.png', '--width', '48', '--height', '48', '--json'], ['-s-1']],
])('%s chooses a new seed each time and reports it', async (_name, args, seed) => {
  const seeds: number[] = [];
  for (let i = 0; i < 2; i++) {
    const { code, stdout, stderr } = await run([...args, ...seed], folder.path);
    expect([code, stderr.includes('safelight:')]).toEqual([0, false]);
    const { images } = JSON.parse(stdout) as { images: { seed: number }[] };
    seeds.push(images[0]!.seed);
  }
  expect(seeds[0]).not.toBe(seeds[1]);
  for (const one of seeds) expect(Number.isInteger(one) && one >= 0 && one < 2 ** 32).toBe(true);
});

it('accepts -1 for the seed of a variation', async () => {
  const args = [
    'generate',
    'a red apple',
    ...small,
    '--seed',
    '3',
    '--subseed',
    '-1',
    '--subseed-strength',
    '0.1',
  ];
  const { code, stdout } = await run(args, folder.path);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ images: [{ seed: 3 }] });
});

it('reports the seed of a sampled latent, and the same seed reproduces it', async () => {
  const encode = async (seed: string) => {
    const args = ['encode', 'gray.png', '-o', 'a.npy', '--posterior', 'sample', '--seed', seed, '--json'];
    const { code, stdout } = await run(args, folder.path);
    expect(code).toBe(0);
    return JSON.parse(stdout) as { seed: number; shape: number[]; warnings: { code: string }[] };
  };
  const first = await encode('-1');
  expect(first.seed).not.toBe((await encode('-1')).seed);
  expect((await encode(String(first.seed))).seed).toBe(first.seed);
});

it('warns on stderr that a large photo is scaled down and that an unsupported tag is ignored', async () => {
  const args = [
    'generate',
    'a <hypernet:x:1> cat',
    '--init',
    'gray.png',
    '--steps',
    '1',
    '--output',
    'b.png',
  ];
  const { code, stdout, stderr } = await run(args, folder.path);
  expect(code).toBe(0);
  expect(stderr).toMatch(/safelight: warning: init of 200 x 160 pixels .* scaled down to 144 x 112/);
  expect(stderr).toMatch(/safelight: warning: Hypernetworks are not supported; <hypernet:x:1> is ignored/);
  expect(stdout).toContain('144x112');
  const sized = await run([...args, '--width', '200', '--height', '160', '--quiet'], folder.path);
  expect(sized.stdout).toContain('200x160');
  expect(sized.stderr).not.toContain('scaled down');
  const encoded = await run(
    ['encode', 'gray.png', '-W', '200', '-H', '160', '-o', 'c.npy', '--json'],
    folder.path,
  );
  expect(JSON.parse(encoded.stdout)).toMatchObject({ shape: [1, 4, 20, 25], warnings: [] });
});

it('rejects a prompt that is too long and reports its length and the limit', async () => {
  const { code, stderr } = await run(['tokenize', 'a'.repeat(120_001)], folder.path);
  expect(stderr).toContain('Expected at most 120000 characters for text, received 120001');
  expect(code).not.toBe(0);
  expect((await run(['tokenize', 'a'.repeat(120_000), '--json'], folder.path)).code).toBe(0);
});
