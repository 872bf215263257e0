import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseParameters } from '../../lib/image/parameters.js';
import { readPngText } from '../../lib/image/png.js';
import { readImage } from '../../lib/image/read.js';
import { start, startSession, workFolder } from '../support/cli.js';

const { run, end } = startSession();
afterAll(end);
let folder: ReturnType<typeof workFolder>;
beforeEach(() => {
  folder = workFolder();
});
afterEach(() => folder.remove());

const SMALL = ['--width', '32', '--height', '32', '--seed', '5'];
const grid = (...args: string[]) => run(['grid', 'a red apple', ...SMALL, ...args], folder.path);

describe('safelight grid', () => {
  it('writes a labelled sheet and its images, which equal single generations', async () => {
    const axes = ['--x', 'steps=1,2', '--y', 'prompt-sr=red,green'];
    const { code, stdout } = await grid(...axes, '-o', 'sheet.png', '--save-images', '--json', '-q');
    expect(code).toBe(0);
    const summary = JSON.parse(stdout) as { width: number; height: number; cells: { file: string }[] };
    expect(summary).toMatchObject({ file: 'sheet.png', generated: 4, reused: 0, missing: 0 });
    expect(summary.cells.map(({ file }) => file)).toEqual([1, 2, 3, 4].map((n) => `sheet-${n}.png`));
    const sheet = await readImage(readFileSync(folder.file('sheet.png')));
    expect([sheet.width, sheet.height]).toEqual([summary.width, summary.height]);
    expect(sheet.width).toBeGreaterThan(68);
    await run(['generate', 'a green apple', ...SMALL, '--steps', '2', '-o', 'one.png', '-q'], folder.path);
    expect(readFileSync(folder.file('sheet-4.png')).equals(readFileSync(folder.file('one.png')))).toBe(true);
    const { fields } = parseParameters(readPngText(readFileSync(folder.file('sheet-1.png'))).parameters!);
    expect(fields.Steps).toBe('1');
  });

  it('writes a new file named by the seed', async () => {
    const first = await grid('--x', 'steps=1', '-q');
    expect(first.stdout).toMatch(/^safelight-grid-5\.png {2}\d+x\d+, 1 images generated, in /);
    await grid('--x', 'steps=1', '-q');
    expect(readdirSync(folder.path).sort()).toEqual(['safelight-grid-5-2.png', 'safelight-grid-5.png']);
  });

  it('generates only missing images with --resume', async () => {
    const args = ['--resume', '-o', 'sheet.png', '--json', '-q'];
    const first = await grid('--x', 'steps=1,2', ...args);
    expect(JSON.parse(first.stdout)).toMatchObject({ generated: 2, reused: 0 });
    const second = await grid('--x', 'steps=1-3', ...args);
    expect(JSON.parse(second.stdout)).toMatchObject({ generated: 1, reused: 2 });
    expect(readdirSync(folder.path).sort()).toEqual(['sheet.cells', 'sheet.png']);
    const other = await grid('--x', 'steps=1,2', ...args, '--storage', 'q8_0');
    expect(JSON.parse(other.stdout)).toMatchObject({ generated: 2, reused: 0 });
  });

  it.each<[string[], RegExp]>([
    [[], /missing an axis/],
    [['--x', 'steps'], /OPTION=VALUES/],
    [['--x', 'stpes=1'], /Unknown option "stpes" of an axis: did you mean/i],
    [['--x', 'steps=1,0'], /Expected an integer between 1 and 1000 for steps/],
    [['--x', 'prompt-sr=pear,plum'], /prompt-sr: neither/],
    [['--x', 'steps=1', '--y', 'steps=2'], /a different option for each axis/],
    [['--x', 'steps=1', '--count', '2'], /1 for a grid/],
    [['--x', 'steps=1', '-o', '-'], /cannot be written to stdout/],
    [['--x', 'steps=1', '-o', 'a.gif'], /\.png, \.jpg or \.webp/],
    [['--x', 'steps=1', '--resume'], /name it with --output/],
    [['--x', 'init=none.png'], /none\.png/],
  ])('rejects %j before the model is loaded', async (args, message) => {
    const { code, stderr } = await run(['grid', 'a red apple', '--model', 'starter', ...args], folder.path);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain('Loading');
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(readdirSync(folder.path)).toEqual([]);
  });
});

describe('safelight grid when it is interrupted', () => {
  const args = ['grid', 'a red apple', ...SMALL, '--x', 'steps=1,900', '--y', 'cfg=3,4', '--resume'];

  it('writes the sheet with the finished images on SIGINT, and resumes', async () => {
    const running = start([...args, '-o', 'sheet.png', '--json'], folder.path);
    await running.stderrHas(/Generating cell/);
    while (
      !readdirSync(folder.path).includes('sheet.cells') ||
      readdirSync(folder.file('sheet.cells')).length < 2
    )
      await new Promise((resolve) => setTimeout(resolve, 20));
    // The first image is stored a moment before it counts as finished.
    await new Promise((resolve) => setTimeout(resolve, 200));
    running.child.kill('SIGINT');
    const { code, stdout, stderr } = await running.result;
    expect(stderr).toContain('safelight: interrupted, 1 of 4 images on the sheet');
    expect(code).toBe(130);
    expect(JSON.parse(stdout)).toMatchObject({ generated: 1, missing: 3 });
    expect(readdirSync(folder.path).sort()).toEqual(['sheet.cells', 'sheet.png']);
    const again = await grid('--x', 'steps=1', '--y', 'cfg=3', '--resume', '-o', 'sheet.png', '--json', '-q');
    expect(JSON.parse(again.stdout)).toMatchObject({ generated: 0, reused: 1 });
  });

  it('writes nothing on SIGTERM', async () => {
    const running = start([...args.slice(0, -1), '-o', 'sheet.png'], folder.path);
    await running.stderrHas(/Generating/);
    running.child.kill('SIGTERM');
    const { code, stderr } = await running.result;
    expect(stderr).toContain('interrupted, no output was written');
    expect(code).toBe(143);
    expect(readdirSync(folder.path)).toEqual([]);
  });
});
