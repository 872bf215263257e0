/** Tags of LoRAs, words of prompts and the search of the web page, without a browser. */
import { describe, expect, it } from 'vitest';
import { readLoraTag } from '../../lib/adapters/lora-tag.js';
import { formatExact } from '../../lib/options/exact.js';
import type { Lora } from '../../web/src/api/adapters.js';
import {
  fitsFamily,
  loraNamed,
  matchesQuery,
  searchLoras,
  tagNameOf,
} from '../../web/src/logic/adapter-search.js';
import { insertTag, loraTags, removeTags, setTagWeight } from '../../web/src/logic/lora-tags.js';
import { hasWord, insertWord, removeWord } from '../../web/src/logic/prompt-words.js';
import { fieldsOf, unrestoredOf } from '../../web/src/logic/restore.js';
import { restoredForm } from '../../web/src/logic/restore-exact.js';

describe('tags of LoRAs in a prompt', () => {
  it('are found with their positions and weights, read as the server reads them', () => {
    const prompt =
      'a <lora:ink:0.8> b <lora:ink:0.8><lyco: x :te=0.5:unet=2:dyn=4> <hypernet:h:1> <lora:y> <lora:z:1:-1> <lora:q:big>';
    const tags = loraTags(prompt);
    expect(tags.map(({ name, te, unet }) => [name, te, unet])).toEqual([
      ['ink', 0.8, undefined],
      ['ink', 0.8, undefined],
      ['x', 0.5, 2],
      ['y', 1, undefined],
      ['z', 1, -1],
      ['q', Number.NaN, undefined],
    ]);
    for (const { text, start } of tags) expect(prompt.slice(start, start + text.length)).toBe(text);
    for (const { text, te, unet = te } of tags.slice(0, 5)) {
      const server = readLoraTag(text.slice(1, -1).split(':').slice(1));
      expect([server.textEncoderWeight, server.weight]).toEqual([te, unet]);
    }
    expect(loraTags('<lora:unclosed:1')).toEqual([]);
  });

  it('are appended after a space', () => {
    expect(insertTag('a cat', 'ink')).toBe('a cat <lora:ink:1>');
    expect(insertTag('', 'ink', 0.7)).toBe('<lora:ink:0.7>');
    expect(insertTag('a cat ', 'ink', 0.7 + 0.1)).toBe('a cat <lora:ink:0.8>');
  });

  it.each([
    ['a <lora:x:1> b', 'te', 'a <lora:x:0.35> b'],
    ['<lora:x>', 'te', '<lora:x:0.35>'],
    ['<lora:x:0.5:0.9:8>', 'te', '<lora:x:0.35:0.9:8>'],
    ['<lora:x:0.5:0.9:8>', 'unet', '<lora:x:0.5:0.35:8>'],
    ['<lora:x:te=1:lbw=1,0,0>', 'te', '<lora:x:te=0.35:lbw=1,0,0>'],
    ['<lora:x:lbw=1,0,0>', 'te', '<lora:x:0.35:lbw=1,0,0>'],
    ['<lora:x:1>', 'unet', '<lora:x:1:unet=0.35>'],
    ['<lora:x:oops>', 'te', '<lora:x:0.35>'],
  ] as const)('of %s get another weight of %s and keep the rest', (prompt, target, expected) => {
    expect(setTagWeight(prompt, loraTags(prompt)[0]!, target, 0.35)).toBe(expected);
  });

  it('of the same text are changed one at a time', () => {
    const prompt = '<lora:x:1> <lora:x:1>';
    expect(setTagWeight(prompt, loraTags(prompt)[1]!, 'te', -2)).toBe('<lora:x:1> <lora:x:-2>');
  });

  it.each([
    ['a <lora:x:1> b', 'a b'],
    ['a cat <lora:x:1>', 'a cat'],
    ['<lora:x:1>, a cat', 'a cat'],
    ['a, <lora:x:1>, b', 'a, b'],
    ['a, <lora:x:1>', 'a'],
    ['<lora:x:1>', ''],
    ['a<lora:x:1>b <lora:x:0.5>', 'ab'],
  ])('of %j are removed without leaving gaps', (prompt, expected) => {
    expect(removeTags(prompt, loraTags(prompt))).toBe(expected);
    expect(removeTags(insertTag('a cat', 'x'), loraTags(insertTag('a cat', 'x')))).toBe('a cat');
  });
});

describe('words of a prompt', () => {
  it('are found as parts between commas, in any case, with weights and tags beside them', () => {
    for (const prompt of [
      'ink style',
      'a, Ink Style ,b',
      '(ink style:1.2), a',
      '[ink style]',
      'ink style <lora:x:1>',
    ])
      expect(hasWord(prompt, 'ink style'), prompt).toBe(true);
    for (const prompt of ['', 'ink', 'an ink style', '<lora:ink style:1>'])
      expect(hasWord(prompt, 'ink style'), prompt).toBe(false);
  });

  it('are added after a comma, and removed again', () => {
    expect(insertWord('', 'ink')).toBe('ink');
    expect(insertWord('a cat, ', 'ink')).toBe('a cat, ink');
    expect(removeWord(insertWord('a cat', 'ink'), 'ink')).toBe('a cat');
    expect(removeWord('ink, a, (INK:1.3), b', 'ink')).toBe('a, b');
  });

  it('are removed without the tags beside them or the commas in tags', () => {
    expect(removeWord('a cat, ink <lora:x:1>', 'ink')).toBe('a cat <lora:x:1>');
    expect(removeWord('ink <lora:x:1>', 'ink')).toBe('<lora:x:1>');
    expect(removeWord('<lora:x:lbw=1,0,1> a, 0, b', '0')).toBe('<lora:x:lbw=1,0,1> a, b');
  });
});

const lora = (file: string, more: Partial<Lora> = {}): Lora => ({
  ...{ name: file.replace(/^.*\/|\.[^.]+$/g, ''), file, kind: 'lora', family: null, triggerWords: [] },
  ...{ baseModel: null, rank: 4, hash: null, thumbnail: false, ...more },
});

describe('LoRAs of the server', () => {
  const loras = [
    lora('ink.safetensors', { alias: 'Brush', triggerWords: ['loose lines'], family: 'sd1' }),
    lora('sub/ink.safetensors', { baseModel: 'Big Model' }),
    lora('a:b.safetensors', { alias: 'ab' }),
    lora('c>d.safetensors'),
  ];

  it('are found by name, path and alias, exact names first', () => {
    expect(loraNamed(loras, 'ink')).toBe(loras[0]);
    expect(loraNamed(loras, 'sub/ink')).toBe(loras[1]);
    expect(loraNamed(loras, 'BRUSH')).toBe(loras[0]);
    expect(loraNamed(loras, 'none')).toBeUndefined();
  });

  it('are inserted under a name that finds them and that a tag can contain', () => {
    expect(loras.map((one) => tagNameOf(loras, one))).toEqual(['ink', 'sub/ink', 'ab', undefined]);
  });

  it('are searched by names, words, base model and family', () => {
    const found = (query: string) => searchLoras({ loras }, query).map(({ file }) => file);
    expect(found('')).toHaveLength(4);
    expect(found('LOOSE ink')).toEqual(['ink.safetensors']);
    expect(found('sub')).toEqual(['sub/ink.safetensors']);
    expect(found('big model')).toEqual(['sub/ink.safetensors']);
    expect(found('ink none')).toEqual([]);
    expect(matchesQuery([undefined, null, 'calm'], 'ca')).toBe(true);
  });

  it('fit a model unless both families are known and differ', () => {
    expect([fitsFamily('sd1', 'sd1'), fitsFamily(null, 'sd1'), fitsFamily('sd1', undefined)]).toEqual([
      ...[true, true, true],
    ]);
    expect(fitsFamily('sdxl', 'sd1')).toBe(false);
  });
});

describe('restored settings with LoRAs and embeddings', () => {
  const adapters = {
    loras: [{ name: 'new', alias: 'trained', hash: '0123456789ab' }],
    embeddings: [{ name: 'calm', hash: 'ffffffffffff' }],
  };
  const text =
    'cat <lora:old:0.5> <lora:gone:1> <lora:trained:1>\nSteps: 2, Seed: 1, Hires upscale: 2, Hires prompt: "x, <lora:old:1>", ' +
    'Lora hashes: "old: 0123456789ab, gone: aaaaaaaaaaaa", TI hashes: "calm: ffffffffffff, lost: eeeeeeeeeeee", Version: v1.10.1';

  it('rename tags by hash and list missing ones', () => {
    const fields = fieldsOf(text, null, adapters);
    expect(fields[0]!.value).toBe('cat <lora:new:0.5> <lora:gone:1> <lora:trained:1>');
    expect(fields.find(({ label }) => label === 'Hires prompt')!.patch).toMatchObject({
      hiresPrompt: 'x, <lora:new:1>',
    });
    expect(unrestoredOf(text, null, adapters)).toEqual(['LoRA: gone', 'Embedding: lost']);
  });

  it('name the upscaler of the second pass as the server does, and list a missing one', () => {
    const text = 'cat\nSteps: 2, Seed: 1, Hires upscale: 2, Hires upscaler: R-ESRGAN 4x+, Version: v1.10.1';
    const safelight = formatExact('m', { prompt: 'cat', hires: { upscaler: 'RealESRGAN_x4plus' } });
    const upscalers = [{ name: 'realesrgan_x4plus' }];
    for (const texts of [{ parameters: text }, { parameters: text, safelight }]) {
      const restored = restoredForm(texts, null, { upscalers })!;
      expect(restored.patch).toMatchObject({ hires: true, hiresUpscaler: 'realesrgan_x4plus' });
      expect(restored.lost.filter((lost) => lost.startsWith('Hires'))).toEqual([]);
      const elsewhere = restoredForm(texts, null)!;
      expect(elsewhere.patch.hires).toBe(true);
      expect(elsewhere.patch.hiresUpscaler ?? 'latent').toBe('latent');
      expect(elsewhere.lost).toContain('Hires upscaler: R-ESRGAN 4x+');
    }
    const builtIn = restoredForm({ parameters: text.replace('R-ESRGAN 4x+', 'Lanczos') }, null)!;
    expect(builtIn).toMatchObject({ patch: { hiresUpscaler: 'lanczos' }, lost: [] });
  });

  it('keep tags and list nothing if the available ones are unknown', () => {
    expect(fieldsOf(text, null)[0]!.value).toContain('<lora:old:0.5>');
    expect(unrestoredOf(text, null)).toEqual([]);
  });

  it('come from exact options with the hashes of the generation parameters', () => {
    const prompt = 'cat <lora:old:0.5> <lora:gone:1>';
    const safelight = formatExact('m', { prompt, hires: { prompt: '<lora:old:2>' } });
    const restored = restoredForm({ safelight, parameters: text }, null, adapters)!;
    expect(restored.patch).toMatchObject({
      ...{ prompt: 'cat <lora:new:0.5> <lora:gone:1>', hiresPrompt: '<lora:new:2>' },
    });
    expect(restored.lost).toEqual(['Model: m', 'LoRA: gone', 'Embedding: lost']);
  });
});
