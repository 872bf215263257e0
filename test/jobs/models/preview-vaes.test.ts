import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Catalog } from '../../../lib/jobs/models/catalog.js';
import { parsePreviewVaes } from '../../../lib/jobs/models/preview-vaes.js';
import { defaultLimits } from '../../../lib/jobs/schemas.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import { writeTaesdFolder } from '../../support/taesd.js';
import { writeFolder } from '../../support/tiny-models.js';

const root = mkdtempSync(join(tmpdir(), 'safelight-preview-vaes-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('tiny autoencoders for previews of a server', () => {
  it('are named by models, and paths may contain =', () => {
    const paths = parsePreviewVaes(['a=/taesd', 'b=x=y'], ['a', 'b', 'c']);
    expect([...paths]).toEqual([
      ['a', '/taesd'],
      ['b', 'x=y'],
    ]);
  });

  it.each([
    ['/taesd', /NAME=PATH/],
    ['=/taesd', /NAME=PATH/],
    ['a=', /NAME=PATH/],
    ['d=/taesd', /a, b/],
  ])('are rejected as %s', (value, message) => {
    expect(() => parsePreviewVaes([value], ['a', 'b'])).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringMatching(message) }),
    );
  });

  it('are rejected if a model has two', () => {
    expect(() => parsePreviewVaes(['a=x', 'a=y'], ['a'])).toThrow(/one path for the model a/);
  });

  it('are loaded with their model only', async () => {
    const path = writeFolder('sd1', join(root, 'sd1'));
    const models = ['with', 'without'].map((name) => ({ name, path, kind: 'diffusion' as const }));
    const previewVaes = [`with=${writeTaesdFolder(join(root, 'taesd'))}`];
    const catalog = await Catalog.open(models, { threads: 1, previewVaes }, defaultLimits);
    const loaded = new Map<string, boolean>();
    for (const { name } of models) {
      const { pipeline, release } = await catalog.pool.use(name);
      if (pipeline instanceof Pipeline) loaded.set(name, pipeline.memory().preview !== undefined);
      release();
    }
    await catalog.pool.close();
    expect(Object.fromEntries(loaded)).toEqual({ with: true, without: false });
  });
});
