/** Whole images with a LoRA file in each dialect of names and each form, against the libraries that define them (test/reference/lora_dialects.py). */
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readImage } from '../../lib/image/read.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../lib/pipelines/options.js';
import { removeFolders, temporaryFolder } from '../support/lora.js';
import { dialects, FIXTURES, forms, options, writeDialect } from '../support/lora-dialects.js';
import { writeLycoris } from '../support/lycoris.js';
import { largestDifference } from '../support/pipeline-cases.js';
import { meanDifference } from '../support/prompt-grammar.js';
import { type TinyModel, writeFolder } from '../support/tiny-models.js';

interface Loaded {
  readonly pipeline: Pipeline;
  /** The image without a LoRA. */
  readonly plain: Uint8Array;
}

const models = new Map<TinyModel, Promise<Loaded>>();

function loaded(model: TinyModel): Promise<Loaded> {
  const known = models.get(model) ?? load(model);
  models.set(model, known);
  return known;
}

async function load(model: TinyModel): Promise<Loaded> {
  const pipeline = await Pipeline.load(writeFolder(model, temporaryFolder()), { threads: 2, storage: 'f32' });
  const { images } = await pipeline.generate(options as unknown as GenerateOptions);
  return { pipeline, plain: images[0]!.data };
}

afterAll(async () => {
  for (const model of models.values()) await (await model).pipeline.dispose();
  removeFolders();
});

/** Expects the image of the fixture, which differs clearly from the one without a LoRA, and no warnings. */
async function expectImage(model: TinyModel, path: string, name: string): Promise<void> {
  const { pipeline, plain } = await loaded(model);
  const wanted = (await readImage(join(FIXTURES, `${name}.png`))).data;
  const { images, warnings } = await pipeline.generate({
    ...(options as unknown as GenerateOptions),
    loras: [{ path }],
  });
  expect(warnings).toEqual([]);
  expect(largestDifference(images[0]!.data, wanted)).toBeLessThanOrEqual(3);
  expect(meanDifference(plain, wanted)).toBeGreaterThanOrEqual(8);
}

describe('a generation with a LoRA file', () => {
  it.each(dialects.map((dialect) => [dialect.name, dialect] as const))(
    'returns the image of the reference for the dialect %s',
    async (name, dialect) => expectImage(dialect.model, writeDialect(dialect), name),
  );

  it.each(forms)('returns the image of the reference for the form %s of LyCORIS', async (form) =>
    expectImage('sd1', writeLycoris(form), `form-${form}`),
  );
});
