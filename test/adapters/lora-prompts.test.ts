/** LoRAs that prompts name: tags, folders, ranks, block weights, and the texts of images. */
import { copyFileSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LoraFolder } from '../../lib/adapters/lora-folder.js';
import type { LoraOption } from '../../lib/adapters/lora-options.js';
import { parseParameters } from '../../lib/image/parameters.js';
import { restoreOptions } from '../../lib/options/infotext/restore.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../lib/pipelines/options.js';
import { removeFolders, temporaryFolder, writeLora } from '../support/lora.js';
import { meanDifference } from '../support/prompt-grammar.js';
import { writeFolder } from '../support/tiny-models.js';

const SMALL = { steps: 2, width: 32, height: 32, seed: 5, cfg: 5 } as const;
let pipeline: Pipeline;
let folder: string;
let whole: string;

beforeAll(async () => {
  folder = temporaryFolder();
  mkdirSync(join(folder, 'sub'));
  whole = join(folder, 'Whole.safetensors');
  copyFileSync(writeLora('sd1', 'whole'), whole);
  const metadata = { ss_output_name: 'trained name', sshs_model_hash: 'abcdef0123456789abcdef' };
  copyFileSync(
    writeLora('sd1', 'attention', 'kohya', { metadata }),
    join(folder, 'sub', 'other.safetensors'),
  );
  const model = writeFolder('sd1', temporaryFolder());
  pipeline = await Pipeline.load(model, { threads: 2, loraFolder: folder });
});
afterAll(async () => {
  await pipeline.dispose();
  removeFolders();
});

async function generate(prompt: string, options: GenerateOptions = {}) {
  const { images } = await pipeline.generate({ ...SMALL, prompt, ...options });
  return images[0]!;
}
const withLoras = async (...loras: LoraOption[]) => (await generate('a red apple ', { loras })).data;

describe('a tag in the prompt', () => {
  it.each<[string, Omit<LoraOption, 'path'>]>([
    ['<lora:Whole>', {}],
    ['<lora:whole:0.5>', { weight: 0.5 }],
    ['<lora:WHOLE:0.5:2>', { textEncoderWeight: 0.5, weight: 2 }],
    ['<lora:Whole:te=0:unet=1.5>', { textEncoderWeight: 0, weight: 1.5 }],
    ['<lyco:Whole:1:0>', { textEncoderWeight: 1, weight: 0 }],
    ['<lora:Whole:1:1:2>', { ranks: 2 }],
  ])('%s applies the LoRA like the option', async (tag, option) => {
    const tagged = (await generate(`a red apple ${tag}`)).data;
    expect(tagged).toEqual(await withLoras({ path: whole, ...option }));
    expect(meanDifference(tagged, await withLoras())).toBeGreaterThan(8);
  });

  it.each(['other', 'sub/other', 'trained name', 'Trained Name'])('finds %s in a subfolder', async (name) => {
    const path = join(folder, 'sub', 'other.safetensors');
    expect((await generate(`a red apple <lora:${name}:1>`)).data).toEqual(await withLoras({ path }));
  });

  it('finds a file that was added or renamed after loading', async () => {
    const added = join(folder, 'added.safetensors');
    copyFileSync(whole, added);
    const wanted = await withLoras({ path: whole });
    expect((await generate('a red apple <lora:added:1>')).data).toEqual(wanted);
    renameSync(added, join(folder, 'renamed.safetensors'));
    expect((await generate('a red apple <lora:renamed:1>')).data).toEqual(wanted);
    await expect(generate('a red apple <lora:added:1>')).rejects.toMatchObject({ code: 'ADAPTER_NOT_FOUND' });
  });

  it('prefers the name of a file to the name under which others were trained', async () => {
    const many = temporaryFolder();
    const metadata = { ss_output_name: 'epochs' };
    copyFileSync(
      writeLora('sd1', 'attention', 'kohya', { metadata }),
      join(many, 'epochs-000001.safetensors'),
    );
    copyFileSync(writeLora('sd1', 'whole', 'kohya', { metadata }), join(many, 'epochs.safetensors'));
    copyFileSync(
      writeLora('sd1', 'whole', 'kohya', { metadata: { ss_output_name: 'twice' } }),
      join(many, 'a.pt'),
    );
    for (const name of ['b', 'c'])
      copyFileSync(
        writeLora('sd1', 'whole', 'kohya', { metadata: { ss_output_name: 'twice' } }),
        join(many, `${name}.safetensors`),
      );
    const found = await new LoraFolder(many).find(['epochs', 'EPOCHS-000001', 'twice']);
    expect(found.map((entry) => ('file' in entry ? entry.file : entry.code))).toEqual([
      'epochs.safetensors',
      'epochs-000001.safetensors',
      'ADAPTER_NOT_FOUND',
    ]);
    expect((found[2] as Error).message).toContain('2 files were trained under that name');
  });

  it('with an unknown name is an error that suggests a similar one, or a warning on request', async () => {
    await expect(generate('<lora:Whol:1>')).rejects.toMatchObject({
      code: 'ADAPTER_NOT_FOUND',
      message: expect.stringContaining('did you mean Whole?'),
    });
    const { warnings } = await pipeline.generate({
      ...{ ...SMALL, prompt: '<lora:Whol:1>' },
      missingAdapters: 'warn',
    });
    expect(warnings.map(({ code }) => code)).toEqual(['ADAPTER_NOT_FOUND']);
  });

  it('of the second pass applies to that pass only', async () => {
    const hires = { scale: 1.25, strength: 0.8, prompt: 'a red apple <lora:Whole:1>' };
    const second = (await generate('a red apple ', { hires })).data;
    const both = (await generate('a red apple <lora:Whole:1>', { hires })).data;
    const none = (await generate('a red apple ', { hires: { scale: 1.25, strength: 0.8 } })).data;
    expect(meanDifference(second, none)).toBeGreaterThan(8);
    expect(meanDifference(second, both)).toBeGreaterThan(2);
  });

  it('adds to the LoRAs of the option, up to 20', async () => {
    const added = (await generate('a red apple <lora:Whole:0.5>', { loras: [{ path: whole, weight: 0.5 }] }))
      .data;
    expect(meanDifference(added, await withLoras({ path: whole }))).toBeLessThan(1);
    await expect(generate('<lora:Whole:1>'.repeat(21))).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});

describe('ranks', () => {
  it('beyond those of the file change nothing', async () => {
    expect(await withLoras({ path: whole, ranks: 1000 })).toEqual(await withLoras({ path: whole }));
  });
});

describe('block weights', () => {
  const weighted = (blocks: LoraOption['blocks']) =>
    withLoras({ path: whole, ...(blocks ? { blocks } : {}) });

  it('scale the changes of their block', async () => {
    const all = await weighted(undefined);
    expect(await weighted({ BASE: 1, M00: 1 })).toEqual(all);
    expect(await weighted({ BASE: 0 })).toEqual(await withLoras({ path: whole, textEncoderWeight: 0 }));
    for (const block of ['IN01', 'M00']) {
      const without = await weighted({ [block]: 0 });
      expect(without).not.toEqual(all);
      expect(without).not.toEqual(await withLoras());
    }
  });

  it('may be a list of all blocks, or of those with attention', async () => {
    const error = await weighted([1, 2]).catch((reason: Error) => reason);
    expect(error).toMatchObject({ code: 'ADAPTER_MISMATCH' });
    // The message lists the blocks of the model: BASE,IN00,IN01,...
    const lists = [...(error as Error).message.matchAll(/\((BASE[^)]*)\)/g)].map(([, names]) =>
      names!.split(','),
    );
    expect(lists).toHaveLength(2);
    for (const names of lists) {
      const only = await weighted(names.map((name) => (name === 'BASE' || name === 'M00' ? 1 : 0)));
      const others = names.filter((name) => name !== 'BASE' && name !== 'M00');
      expect(only).toEqual(await weighted(Object.fromEntries(others.map((name) => [name, 0]))));
    }
    expect(lists[1]!.length).toBeLessThan(lists[0]!.length);
  });

  it.each([{ IN77: 1 }, [1], { BASE: Number.NaN }, { other: 1 }, [], 3])(
    'are rejected: %j',
    async (blocks) => {
      await expect(weighted(blocks as LoraOption['blocks'])).rejects.toMatchObject({
        code: expect.stringMatching(/ADAPTER_MISMATCH|INVALID_OPTION/),
      });
    },
  );
});

describe('the texts of an image', () => {
  it('name its LoRAs with their hashes, and restore them', async () => {
    const image = await generate('a red apple <lora:trained name:0.7>', {
      loras: [{ path: whole, weight: 0.5 }],
    });
    const { fields, prompt } = parseParameters(image.parameters!);
    expect(prompt).toBe('a red apple <lora:trained name:0.7> <lora:Whole:0.5>');
    expect(fields['Lora hashes']).toMatch(/^Whole: [0-9a-f]{12}, trained name: abcdef012345$/);
    const texts = { parameters: image.parameters!, safelight: image.exactOptions! };
    for (const text of [texts, image.parameters!]) {
      const { options, unrestored } = restoreOptions(text);
      expect(unrestored).toEqual([]);
      const again = await pipeline.generate(options);
      // The LoRAs are in another order, so that sums may differ in their last digits.
      const differences = again.images[0]!.data.map((value, i) => Math.abs(value - image.data[i]!));
      expect(Math.max(...differences)).toBeLessThanOrEqual(1);
    }
  });

  it('list LoRAs that are missing, and rename those with another name', async () => {
    const image = await generate('a red apple <lora:other:0.7:0.2> <lora:Whole:1>');
    const texts = { parameters: image.parameters!, safelight: image.exactOptions! };
    const adapters = { loras: [{ name: 'moved', hash: 'abcdef012345' }], embeddings: [] };
    for (const text of [texts, image.parameters!]) {
      const { options, unrestored, warnings } = restoreOptions(text, adapters);
      expect(options.prompt).toBe('a red apple <lora:moved:0.7:0.2> <lora:Whole:1>');
      expect(unrestored).toEqual([{ name: 'LoRA', value: 'Whole' }]);
      expect(warnings[0]!.message).toContain('LoRA (Whole)');
    }
  });
});
