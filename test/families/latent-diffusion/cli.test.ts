import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { readPngText } from '../../../lib/image/png.js';
import { readImage } from '../../../lib/image/read.js';
import { run } from '../../support/cli.js';
import { caseNamed, expectedOf, writeCheckpoint } from '../../support/latent-diffusion.js';
import { largestDifference } from '../../support/pipeline-cases.js';

const root = mkdtempSync(join(tmpdir(), 'safelight-ldm-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

it('safelight generate --class generates an image of a class without a prompt', async () => {
  const one = caseNamed('class');
  const model = writeCheckpoint(one, join(root, 'class'));
  const told = ['--sampler', 'ddim', '--steps', '4', '--cfg', '3', '--seed', '5', '--storage', 'f32'];
  const output = join(root, 'picture.png');
  const result = await run(
    ['generate', '--class', '2', '--model', model, ...told, '--output', output, '--json'],
    root,
  );
  expect(result.code).toBe(0);
  const { pictures } = await expectedOf(one);
  const image = await readImage(output);
  expect(largestDifference(image.data, pictures.subarray(0, image.data.length))).toBeLessThanOrEqual(2);
  expect(JSON.stringify(readPngText(readFileSync(output)))).toContain('Class: 2');
});

it('safelight generate lists the valid classes before it loads anything', async () => {
  const model = writeCheckpoint(caseNamed('class'), join(root, 'again'));
  for (const [args, sentence] of [
    [['--class', '5'], 'a class from 0 to 4'],
    [[], 'a class from 0 to 4'],
  ] as const) {
    const { code, stderr } = await run(['generate', ...args, '--model', model], root);
    expect([code, stderr]).toEqual([2, expect.stringContaining(sentence)]);
  }
});
