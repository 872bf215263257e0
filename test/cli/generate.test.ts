import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseParameters } from '../../lib/image/parameters.js';
import { readPngText } from '../../lib/image/png.js';
import { readImage } from '../../lib/image/read.js';
import { MAIN, type Result, run as runProcess, start, startSession, workFolder } from '../support/cli.js';

interface Summary {
  images: { file: string; seed: number; width: number; height: number }[];
  seconds: number;
}

const { run, end } = startSession();
afterAll(end);
let folder: ReturnType<typeof workFolder>;
beforeEach(() => {
  folder = workFolder();
});
afterEach(() => folder.remove());

/** Runs `safelight generate` in the test's folder, with the starter model and few steps. */
const generate = (...args: string[]): Promise<Result> =>
  run(['generate', 'a red apple', '--steps', '2', ...args], folder.path);

const summary = ({ code, stdout }: Result): Summary => {
  expect(code).toBe(0);
  return JSON.parse(stdout) as Summary;
};

describe('safelight generate', () => {
  it('generates with the starter model into a numbered file and never overwrites one', async () => {
    const first = await generate('--seed', '5');
    expect(first.stdout).toContain('safelight-5.png  128x128, seed 5');
    expect(first.code).toBe(0);
    const before = readFileSync(folder.file('safelight-5.png'));
    const second = await generate('--seed', '5');
    expect(second.stdout).toContain('safelight-5-2.png');
    expect(readdirSync(folder.path).sort()).toEqual(['safelight-5-2.png', 'safelight-5.png']);
    expect(readFileSync(folder.file('safelight-5.png')).equals(before)).toBe(true);
    // The same seed gives the same image, byte for byte.
    expect(readFileSync(folder.file('safelight-5-2.png')).equals(before)).toBe(true);
  });

  it('chooses a random 32-bit seed and prints it', async () => {
    const { images } = summary(await generate('--json'));
    const { file, seed } = images[0]!;
    expect(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32).toBe(true);
    expect(file).toBe(`safelight-${seed}.png`);
  });

  it('prints only JSON on stdout and progress as plain lines on stderr', async () => {
    const args = ['--seed', '7', '--json', '--output', folder.file('apple.png')];
    const result = await runProcess(['generate', 'a red apple', '--steps', '2', ...args], folder.path);
    const { images, seconds } = summary(result);
    expect(images).toEqual([{ file: folder.file('apple.png'), seed: 7, width: 128, height: 128 }]);
    expect(seconds).toBeGreaterThan(0);
    expect(result.stdout.trimEnd().split('\n')).toHaveLength(1);
    expect(result.stderr).toContain('Denoising step 2/2');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the test searches for terminal codes
    expect(result.stderr).not.toMatch(/[\r\x1b]/);
  });

  it('prints no progress with --quiet', async () => {
    expect((await generate('--quiet', '--json')).stderr).toBe('');
  });

  it('generates several images with ascending seeds and replaces the named file', async () => {
    writeFileSync(folder.file('apple.png'), 'old');
    const { images } = summary(
      await generate('--json', '--seed', '9', '--count', '3', '--output', 'apple.png'),
    );
    expect(images.map(({ file, seed }) => [file, seed])).toEqual([
      ['apple.png', 9],
      ['apple-2.png', 10],
      ['apple-3.png', 11],
    ]);
    const files = images.map(({ file }) => readFileSync(folder.file(file)));
    expect(new Set(files.map((png) => png.toString('base64'))).size).toBe(3);
    expect((await readImage(files[0]!)).width).toBe(128);
    expect(readdirSync(folder.path)).toHaveLength(3);
    // An image of a batch equals the image of its seed alone.
    await generate('--seed', '10', '--output', 'alone.png', '--json');
    const alone = await readImage(folder.file('alone.png'));
    const together = await readImage(files[1]!);
    expect(Math.max(...alone.data.map((v, i) => Math.abs(v - together.data[i]!)))).toBeLessThanOrEqual(1);
  });

  it('writes the generation parameters into the PNG', async () => {
    await generate('--seed', '3', '--cfg', '5', '--negative', 'blue', '--output', 'a.png');
    const { prompt, negative, fields } = parseParameters(
      readPngText(readFileSync(folder.file('a.png'))).parameters!,
    );
    expect({ prompt, negative }).toEqual({ prompt: 'a red apple', negative: 'blue' });
    expect(fields).toMatchObject({ Steps: '2', 'CFG scale': '5', Seed: '3', Size: '128x128' });
    await generate('--no-metadata', '--output', 'b.png');
    expect(readPngText(readFileSync(folder.file('b.png')))).toEqual({});
  });

  it('keeps a prompt in any script', async () => {
    await run(['generate', 'ein Apfel, 苹果 🍎', '--steps', '1', '--output', 'a.png'], folder.path);
    const { prompt } = parseParameters(readPngText(readFileSync(folder.file('a.png'))).parameters!);
    expect(prompt).toBe('ein Apfel, 苹果 🍎');
  });

  it.each([
    ['apple.jpg', [0xff, 0xd8, 0xff]],
    ['apple.webp', [0x52, 0x49, 0x46, 0x46]],
    ['apple', [0x89, 0x50, 0x4e, 0x47]],
  ])('writes %s', async (name, magic) => {
    summary(await generate('--json', '--output', name));
    const bytes = readFileSync(folder.file(name));
    expect([...bytes.subarray(0, magic.length)]).toEqual(magic);
    expect((await readImage(bytes)).height).toBe(128);
  });

  it('rejects sizes that are off the grid as a usage error', async () => {
    const { code, stderr } = await generate('--width', '100');
    expect(stderr).toContain('multiple of 8');
    expect(code).toBe(2);
  });
});

describe('safelight generate when it is stopped', () => {
  const long = ['generate', 'a red apple', '--steps', '900', '--count', '4', '--batch', '1'];

  const step = /Denoising step [1-9]/;

  it('writes the image of the last step on SIGINT and exits with code 130', async () => {
    const running = start([...long, '--seed', '5'], folder.path);
    await running.stderrHas(step);
    running.child.kill('SIGINT');
    const { code, stdout, stderr } = await running.result;
    expect(stderr).toContain(
      'Finishing with what is done so far (press Ctrl-C again to quit immediately) ...',
    );
    expect(stderr).toContain('safelight: interrupted, 1 of 4 images written');
    expect(stdout).toContain('safelight-5.png  128x128, seed 5\n1 image in ');
    expect(code).toBe(130);
    expect(readdirSync(folder.path)).toEqual(['safelight-5.png']);
    expect((await readImage(readFileSync(folder.file('safelight-5.png')))).width).toBe(128);
  });

  it('writes the images that are finished on SIGINT, and the current one', async () => {
    const args = ['a red apple', '--steps', '12', '--count', '40', '--batch', '1', '--seed', '5', '--json'];
    const running = start(['generate', ...args, '--output', 'a.png'], folder.path);
    await running.stderrHas(/Decoding 1\/40/);
    running.child.kill('SIGINT');
    const { code, stdout } = await running.result;
    const { images } = JSON.parse(stdout) as { images: { file: string; seed: number }[] };
    expect(code).toBe(130);
    expect(images.length).toBeGreaterThanOrEqual(2);
    expect(images.length).toBeLessThan(40);
    expect(readdirSync(folder.path).sort()).toEqual(images.map(({ file }) => file).sort());
    // The first one is complete, the last one is not.
    const whole = summary(
      await run(['generate', ...args.filter((_, i) => i !== 3 && i !== 4), '-o', 'b.png'], folder.path),
    );
    expect(whole.images).toHaveLength(1);
    expect(readFileSync(folder.file('a.png')).equals(readFileSync(folder.file('b.png')))).toBe(true);
  });

  it('exits on SIGTERM with code 143 and without a file', async () => {
    const running = start(long, folder.path);
    await running.stderrHas(step);
    running.child.kill('SIGTERM');
    const result = await running.result;
    expect(result.stderr).toContain('safelight: interrupted, no output was written');
    expect(result.stdout).toBe('');
    expect(result.code).toBe(143);
    expect(readdirSync(folder.path)).toEqual([]);
  });

  it('stops before the model is loaded', async () => {
    const running = start(long, folder.path);
    await running.stderrHas(/Loading|Encoding/);
    running.child.kill('SIGINT');
    expect((await running.result).code).toBe(130);
    expect(readdirSync(folder.path)).toEqual([]);
  });

  it('stops at once and writes nothing on a second SIGINT', async () => {
    // An image of this size takes seconds to decode.
    const running = start([...long, '--width', '512', '--height', '512'], folder.path);
    await running.stderrHas(step);
    running.child.kill('SIGINT');
    await running.stderrHas(/Finishing/);
    running.child.kill('SIGINT');
    const { code, stdout } = await running.result;
    expect([code, stdout]).toEqual([130, '']);
    expect(readdirSync(folder.path)).toEqual([]);
  });

  it('does not stop when nobody reads its progress', async () => {
    const running = start(['generate', 'a red apple', '--steps', '30', '--output', 'apple.png'], folder.path);
    running.child.stderr!.destroy();
    expect((await running.result).code).toBe(0);
    expect(readdirSync(folder.path)).toEqual(['apple.png']);
  });

  it('exits silently when nobody reads its output any more', async () => {
    const child = spawn(process.execPath, [MAIN, 'generate', '--help'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stderr = '';
    child.stderr.on('data', (data: Buffer) => {
      stderr += data.toString();
    });
    child.stdout.destroy();
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(stderr).toBe('');
    expect(code).toBe(0);
  });
});
