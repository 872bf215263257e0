/** Prompt editing, alternation, AND and regional prompts against the reference (test/reference/prompt_grammar.py). */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readImage } from '../../lib/image/read.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../lib/pipelines/options.js';
import { largestDifference } from '../support/pipeline-cases.js';
import {
  cases,
  FIXTURES,
  meanDifference,
  neutralOptionsOf,
  optionsOf,
  type PromptCase,
} from '../support/prompt-grammar.js';
import { type TinyModel, writeFolder } from '../support/tiny-models.js';

const root = mkdtempSync(join(tmpdir(), 'safelight-prompts-'));
const pipelines = new Map<TinyModel, Pipeline>();

beforeAll(async () => {
  for (const model of ['sd1', 'sdxl'] as const) {
    const folder = writeFolder(model, join(root, model));
    pipelines.set(model, await Pipeline.load(folder, { threads: 2, storage: 'f32' }));
  }
});
afterAll(async () => {
  for (const pipeline of pipelines.values()) await pipeline.dispose();
  rmSync(root, { recursive: true, force: true });
});

async function pixelsOf(one: PromptCase, options: GenerateOptions): Promise<Uint8Array> {
  const { images } = await pipelines.get(one.model)!.generate(options);
  return images[0]!.data;
}

describe('a prompt', () => {
  it.each(cases.map((one) => [one.name, one] as const))(
    'gives the image of the reference, and another one without its construct: %s',
    async (name, one) => {
      const wanted = (await readImage(join(FIXTURES, `${name}.png`))).data;
      expect(largestDifference(await pixelsOf(one, optionsOf(one)), wanted)).toBeLessThanOrEqual(3);
      expect(meanDifference(await pixelsOf(one, neutralOptionsOf(one)), wanted)).toBeGreaterThanOrEqual(8);
    },
  );
});
