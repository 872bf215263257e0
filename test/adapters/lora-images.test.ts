/**
 * LoRAs through the pipeline: whole images against diffusers with PEFT, and concurrent and successive calls.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LoraOption } from '../../lib/adapters/lora-options.js';
import { readImage } from '../../lib/image/read.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../lib/pipelines/options.js';
import {
  FIXTURES,
  imageCases,
  type LoraImage,
  type LoraModel,
  type LoraName,
  removeFolders,
  temporaryFolder,
  writeLora,
} from '../support/lora.js';
import { largestDifference } from '../support/pipeline-cases.js';
import { writeFolder, writeSingleFile } from '../support/tiny-models.js';

const pipelines = {} as Record<LoraModel, Pipeline>;
const folders = {} as Record<LoraModel, string>;

beforeAll(async () => {
  for (const name of ['sd1', 'sdxl'] as const) {
    folders[name] = writeFolder(name, temporaryFolder());
    pipelines[name] = await Pipeline.load(folders[name], { threads: 2 });
  }
});
afterAll(async () => {
  for (const pipeline of Object.values(pipelines)) await pipeline.dispose();
  removeFolders();
});

const SMALL = { prompt: 'a red apple', steps: 2, width: 32, height: 32, seed: 5, cfg: 5 } as const;

function lorasOf(one: LoraImage): LoraOption[] {
  return (Object.entries(one.loras) as [LoraName, [number, number]][]).map(
    ([name, [weight, textEncoderWeight]], i) => ({
      path: writeLora(one.model, name, i === 0 ? 'kohya' : 'peft'),
      weight,
      textEncoderWeight,
    }),
  );
}

async function generateImage(pipeline: Pipeline, options: GenerateOptions): Promise<Uint8Array> {
  const { images } = await pipeline.generate(options);
  return images[0]!.data;
}

describe('generate with LoRAs', () => {
  it.each(imageCases)('matches the image of diffusers with PEFT for the tiny $model', async (one) => {
    const wanted = await readImage(join(FIXTURES, one.image));
    const options = { ...one.options, loras: lorasOf(one) } as GenerateOptions;
    const actual = await generateImage(pipelines[one.model], options);
    expect(largestDifference(actual, wanted.data)).toBeLessThanOrEqual(3);
  });

  it('keeps the LoRAs of concurrent calls apart, including a call without LoRAs', async () => {
    const pipeline = pipelines.sd1;
    const whole = [{ path: writeLora('sd1', 'whole') }];
    const attention = [{ path: writeLora('sd1', 'attention') }];
    const calls = [[], whole, attention, [...whole, ...attention]].map((loras) => ({ ...SMALL, loras }));
    const alone: Uint8Array[] = [];
    for (const options of calls) alone.push(await generateImage(pipeline, options));
    const together = await Promise.all(calls.map((options) => generateImage(pipeline, options)));
    expect(together).toEqual(alone);
    for (const [i, one] of alone.entries())
      for (const other of alone.slice(i + 1)) expect(largestDifference(one, other)).toBeGreaterThan(8);
  });

  it('applies textEncoderWeight independently of weight', async () => {
    const pipeline = pipelines.sd1;
    const path = writeLora('sd1', 'whole');
    const plain = await generateImage(pipeline, SMALL);
    const of = (weight: number, textEncoderWeight?: number) =>
      generateImage(pipeline, {
        ...SMALL,
        loras: [{ path, weight, ...(textEncoderWeight === undefined ? {} : { textEncoderWeight }) }],
      });
    const [none, text, unet, both, same] = [
      await of(0, 0),
      await of(0, 1),
      await of(1, 0),
      await of(1, 1),
      await of(1),
    ];
    expect(none).toEqual(plain);
    expect(largestDifference(text, plain)).toBeGreaterThan(8);
    expect(largestDifference(unet, plain)).toBeGreaterThan(8);
    expect(largestDifference(both, unet)).toBeGreaterThan(8);
    expect(same).toEqual(both);
  });

  it('loads no module again and frees the memory of LoRAs', async () => {
    await using pipeline = await Pipeline.load(folders.sd1, { threads: 2, parts: [] });
    const path = writeLora('sd1', 'whole');
    const first = await generateImage(pipeline, { ...SMALL, loras: [{ path }] });
    const before = pipeline.memory();
    expect(before.unet!.patches).toBeGreaterThan(0);
    expect(before.text_encoder!.patches).toBeGreaterThan(0);
    // The next call without a LoRA frees it.
    await generateImage(pipeline, SMALL);
    const { weights, patches } = pipeline.memory().unet!;
    expect([weights, patches]).toEqual([before.unet!.weights, 0]);
    expect(pipeline.memory().text_encoder!.patches).toBe(0);
    expect(await generateImage(pipeline, { ...SMALL, loras: [{ path }] })).toEqual(first);
  });

  it.each(['whole', 'attention'] as const)(
    'states the private memory that %s takes in lean memory mode before it starts',
    async (lora) => {
      await using pipeline = await Pipeline.load(folders.sd1, { threads: 2, memory: 'lean' });
      const stated: { code: string; message: string; steps: number }[] = [];
      let steps = 0;
      const stream = pipeline.stream({
        ...{ ...SMALL, loras: [{ path: writeLora('sd1', lora) }] },
        onWarning: (warning) => stated.push({ ...warning, steps }),
      });
      let bytes = 0;
      for await (const _ of stream) {
        steps++;
        for (const { patches } of Object.values(pipeline.memory())) if (steps === 1) bytes += patches;
      }
      expect(stated).toMatchObject([{ code: 'ADAPTER_MEMORY', steps: 0 }]);
      const kilobytes = Number(/take ([\d.]+) kB/.exec(stated[0]!.message)![1]);
      expect(kilobytes / (bytes / 1000)).toBeGreaterThan(0.9);
      expect(kilobytes / (bytes / 1000)).toBeLessThan(1.1);
      expect((await pipeline.generate(SMALL)).warnings).toEqual([]);
    },
  );

  it('caches nothing in lean memory mode with mapped weights and returns the same image', async () => {
    await using pipeline = await Pipeline.load(folders.sd1, { threads: 2, memory: 'lean' });
    const loras = [{ path: writeLora('sd1', 'whole') }];
    const lean = await generateImage(pipeline, { ...SMALL, loras });
    await generateImage(pipeline, SMALL);
    expect(pipeline.memory().unet!.patches).toBe(0);
    expect(
      largestDifference(lean, await generateImage(pipelines.sd1, { ...SMALL, loras })),
    ).toBeLessThanOrEqual(3);
  });

  it('reads a changed file again', async () => {
    const pipeline = pipelines.sd1;
    const name = 'lora.safetensors';
    const path = writeLora('sd1', 'whole', 'kohya', { name });
    const before = await generateImage(pipeline, { ...SMALL, loras: [{ path }] });
    const other = writeLora('sd1', 'attention', 'kohya', { name });
    const expected = await generateImage(pipeline, { ...SMALL, loras: [{ path: other }] });
    const { writeFile } = await import('node:fs/promises');
    await writeFile(path, readFileSync(other));
    expect(await generateImage(pipeline, { ...SMALL, loras: [{ path }] })).toEqual(expected);
    expect(largestDifference(before, expected)).toBeGreaterThan(8);
  });

  it('works with step caching, a second pass and taps', async () => {
    const pipeline = pipelines.sd1;
    const loras = [{ path: writeLora('sd1', 'whole') }];
    const more = { steps: 4, deepCache: { interval: 2 }, hires: { scale: 2, steps: 2 } };
    const plain = await generateImage(pipeline, { ...SMALL, ...more });
    const patched = await generateImage(pipeline, { ...SMALL, ...more, loras });
    expect(largestDifference(patched, plain)).toBeGreaterThan(8);
    const tapped = { ...SMALL, loras, taps: ['mid_block'] };
    expect(
      largestDifference(
        await generateImage(pipeline, tapped),
        await generateImage(pipeline, { ...SMALL, loras }),
      ),
    ).toBeLessThanOrEqual(3);
  });

  it('applies the same LoRA to a single file of the same model', async () => {
    const file = writeSingleFile('sd1', join(temporaryFolder(), 'model.safetensors'));
    await using pipeline = await Pipeline.load(file, { threads: 2 });
    const loras = [{ path: writeLora('sd1', 'whole', 'sgm') }];
    const { warnings } = await pipeline.generate({ ...SMALL, loras });
    expect(warnings).toEqual([]);
    expect(pipeline.memory().text_encoder!.patches).toBeGreaterThan(0);
  });
});
