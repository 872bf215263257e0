import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readImage } from '../../lib/image/read.js';
import { start, startSession, workFolder } from '../support/cli.js';
import { ball, pngOf, ring } from '../support/vqgan/drawings.js';

const folder = workFolder();
const { run, end } = startSession();
afterAll(end);
const imageFile = folder.file('ball.png');
const drawing = folder.file('ring.png');
beforeAll(async () => {
  writeFileSync(imageFile, await pngOf(ball(96)));
  writeFileSync(drawing, await pngOf(ring(120)));
});
afterAll(folder.remove);

interface Answer {
  readonly images: readonly { readonly file: string; readonly seed?: number; readonly width: number }[];
  readonly codes: number[][];
  readonly usage: { readonly used: number; readonly vocabulary: number; readonly perplexity: number };
  readonly psnr: number;
}

/** Runs a command that prints one JSON document on stdout and no error on stderr. */
async function json<T = Answer>(args: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await run([...args, '--json', '--quiet'], folder.path);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return JSON.parse(stdout) as T;
}

describe('an image and its code indices', () => {
  it('reconstruct writes the reconstruction', async () => {
    const { images, psnr, usage } = await json(['reconstruct', imageFile, '--output', folder.file('r.png')]);
    expect(images).toEqual([{ file: folder.file('r.png'), width: 96, height: 96 }]);
    expect(psnr).toBeGreaterThan(15);
    expect(usage.vocabulary).toBe(1024);
    expect((await readImage(folder.file('r.png'))).width).toBe(96);
  });

  it('codes prints code indices that decode to the reconstruction', async () => {
    const { code, stdout } = await run(['codes', imageFile, '-q'], folder.path);
    expect(code).toBe(0);
    const { codes, usage, ...rest } = JSON.parse(stdout) as Answer;
    expect(rest).toEqual({});
    expect([codes.length, codes[0]!.length, usage.used]).toEqual([12, 12, new Set(codes.flat()).size]);
    writeFileSync(folder.file('printed.json'), stdout);
    writeFileSync(folder.file('rows.json'), JSON.stringify(codes));
    const whole = await json(['codes', 'printed.json', '--decode']);
    const rows = await json(['codes', 'rows.json', '--decode', '--output', 'rows.png']);
    expect([whole.images[0]!.file, rows.images[0]!.file]).toEqual(['printed.png', 'rows.png']);
    await json(['reconstruct', imageFile, '--output', 'again.png']);
    const bytes = (name: string) => readFileSync(folder.file(name));
    expect(bytes('printed.png')).toEqual(bytes('again.png'));
    expect(bytes('rows.png')).toEqual(bytes('again.png'));
  });

  it('codes writes code indices to a file', async () => {
    const { file, usage } = await json<Answer & { file: string }>(['codes', imageFile, '-o', 'codes.json']);
    expect(file).toBe('codes.json');
    const written = JSON.parse(readFileSync(folder.file('codes.json'), 'utf8')) as Answer;
    expect(written.usage).toEqual(usage);
  });

  it('score reports losses', async () => {
    const found = await json<{
      images: Answer['images'];
      patches: number[][];
      losses: Record<string, number | null>;
      leftOut: string[];
      logLikelihood: { total: number; mean: number; condition: string };
    }>(['score', imageFile, '--condition', drawing]);
    expect(found.images[0]).toEqual({ file: 'ball-patches.png', width: 96, height: 96 });
    expect([found.patches.length, found.patches[0]!.length]).toEqual([22, 22]);
    expect(found.losses.rec_loss).toBeGreaterThan(0);
    expect(found.losses.g_loss).toBeCloseTo(-found.losses.logits_fake!, 6);
    expect(found.leftOut.join()).toContain('d_weight');
    expect(found.logLikelihood.total).toBeLessThan(0);
    expect(found.logLikelihood.mean).toBeCloseTo(found.logLikelihood.total / 144, 6);
    expect(found.logLikelihood.condition).toBe('image');
  });
});

describe('sketch and sample', () => {
  it('sketch never overwrites an existing image', async () => {
    const args = [
      'sketch',
      drawing,
      '--seed',
      '7',
      '--top-k',
      '50',
      '--top-p',
      '0.95',
      '--temperature',
      '0.9',
    ];
    const [first, again] = [await json(args), await json(args)];
    expect(first.images).toEqual([{ file: 'ring-7.png', seed: 7, width: 96, height: 96 }]);
    expect(again.images[0]!.file).toBe('ring-7-2.png');
    expect(again.codes).toEqual(first.codes);
    expect(readFileSync(folder.file('ring-7-2.png'))).toEqual(readFileSync(folder.file('ring-7.png')));
  });

  it('sample generates an image of the requested size', async () => {
    const args = ['sample', '--seed', '3', '--width', '104', '--height', '48', '--output', 'wide.webp'];
    const { images, codes } = await json(args);
    expect(images).toEqual([{ file: 'wide.webp', seed: 3, width: 104, height: 48 }]);
    expect([codes.length, codes[0]!.length]).toEqual([6, 13]);
  });

  it('reports the number of sampled code indices on stderr', async () => {
    const { code, stdout, stderr } = await run(['sample', '--seed', '3', '-o', 'c.png'], folder.path);
    expect(code).toBe(0);
    expect(stderr).toMatch(/Sampling index 144\/144/);
    expect(stdout).toMatch(/^c\.png {2}96x96, seed 3, \d+ of 1024 code indices\n1 image in /);
  });

  it('stops at Ctrl-C and writes nothing', async () => {
    const before = readdirSync(folder.path);
    const args = ['sketch', drawing, '--seed', '1', '--width', '1024', '--height', '1024', '-o', 'never.png'];
    const running = start(args, folder.path);
    await running.stderrHas(/Sampling index/);
    running.child.kill('SIGINT');
    const { code, stderr } = await running.result;
    expect(code).toBe(130);
    expect(stderr).toContain('interrupted, no output was written');
    expect(readdirSync(folder.path)).toEqual(before);
  });
});

describe('invalid input', () => {
  it.each([
    ['text that is not JSON', 'hello', 'it is not JSON'],
    ['JSON of another form', '{"colours":[]}', 'expected {"codes":'],
    ['a ragged grid', '{"codes":[[1,2],[3]]}', 'codes[1]'],
    ['an index beyond the codebook', '[[1024]]', 'codes[0][0]'],
    ['a fraction', '[[0.5]]', 'codes[0][0]'],
    ['an empty grid', '{"codes":[]}', 'codes'],
    ['a grid that is too wide', JSON.stringify([Array.from({ length: 5000 }, () => 0)]), 'codes per side'],
  ])('codes rejects %s', async (_, text, message) => {
    writeFileSync(folder.file('bad.json'), text);
    const { code, stdout, stderr } = await run(['codes', 'bad.json', '--decode', '-q'], folder.path);
    expect(stderr).toMatch(/^safelight: [^\n]+\n$/);
    expect(stderr).toContain(message);
    expect(stdout).toBe('');
    expect(code).toBeGreaterThan(0);
    expect(readdirSync(folder.path)).not.toContain('bad.png');
  });

  it.each([
    [['sketch', 'none.png'], 1, 'No image exists'],
    [['sketch', 'ring.png', '--model', 'none.ckpt'], 1, 'none.ckpt'],
    [['sketch', 'ring.png', '--config', 'none.yaml'], 1, 'none.yaml'],
    [['sketch', 'ring.png', '--width', '100'], 2, 'multiple of 8'],
    [['sample', '--class', '3'], 2, 'not class-conditional'],
    [['sample', '--top-p', '0'], 2, 'topP'],
    [['sample', '--top-k', '0'], 2, '--top-k'],
    [['sample', '--temperature', 'hot'], 2, '--temperature'],
    [['codes', 'ring.png', '--decode', '--width', '8'], 2, 'size follows from the code indices'],
    [['score', 'ring.png', '--output', 'map.bmp'], 2, '--output'],
  ])('rejects %j', async (args, expected, message) => {
    const { code, stderr } = await run([...args, '-q'], folder.path);
    expect(stderr).toMatch(/^safelight: [^\n]+\n$/);
    expect(stderr).toContain(message);
    expect(code).toBe(expected);
  });
});
