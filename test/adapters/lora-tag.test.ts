import { describe, expect, it } from 'vitest';
import { formatLoraTag, readLoraTag } from '../../lib/adapters/lora-tag.js';
import { extractTags } from '../../lib/conditioning/network-tags.js';

describe('readLoraTag', () => {
  it.each([
    ['a', { weight: 1, textEncoderWeight: 1 }],
    ['a:0.5', { weight: 0.5, textEncoderWeight: 0.5 }],
    ['a:0.5:-2', { weight: -2, textEncoderWeight: 0.5 }],
    ['a:0.5:2:8', { weight: 2, textEncoderWeight: 0.5, ranks: 8 }],
    ['a:te=0.5', { weight: 0.5, textEncoderWeight: 0.5 }],
    ['a:unet=0.5', { weight: 0.5, textEncoderWeight: 1 }],
    ['a:3:4:te=0.5:unet=.25:dyn=2', { weight: 0.25, textEncoderWeight: 0.5, ranks: 2 }],
    ['a:1:lbw=0,0.5,1', { weight: 1, textEncoderWeight: 1, blocks: [0, 0.5, 1] }],
  ])('reads %s', (text, expected) => {
    expect(readLoraTag(text.split(':'))).toEqual({ name: 'a', ...expected });
  });

  it.each(['a:x', 'a:', 'a:1:y', 'a:1:1:0', 'a:1:1:1.5', 'a:te=', 'a:101', 'a:lbw=1,,2', 'a:NaN'])(
    'rejects %s',
    (text) => {
      expect(() => readLoraTag(text.split(':'))).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
    },
  );

  it.each([
    { name: 'a', weight: 1, textEncoderWeight: 1 },
    { name: 'a', weight: -0.25, textEncoderWeight: 0.5 },
    { name: 'a', weight: 1, textEncoderWeight: 1, ranks: 3, blocks: [1, 0.5] },
    { name: 'a', weight: 0, textEncoderWeight: 2, blocks: { BASE: 0.5, IN01: 0 } },
  ])('reads what formatLoraTag writes: %j', (lora) => {
    const { tags } = extractTags(formatLoraTag(lora));
    expect(tags).toHaveLength(1);
    expect(readLoraTag(tags[0]!.parts)).toEqual(lora);
  });

  it('is written without the characters that would end the tag or its name', () => {
    expect(formatLoraTag({ name: 'a:b>c', weight: 1, textEncoderWeight: 1 })).toBe('<lora:abc:1>');
  });
});

describe('extractTags', () => {
  it('separates tags from text', () => {
    expect(extractTags('a <lora:b:1>, <lyco:c d:te=1>(e) <3 < f:g >')).toEqual({
      text: 'a , (e) <3 < f:g >',
      tags: [
        { kind: 'lora', parts: ['b', '1'], text: '<lora:b:1>' },
        { kind: 'lyco', parts: ['c d', 'te=1'], text: '<lyco:c d:te=1>' },
      ],
    });
  });

  it('takes time proportional to the length', () => {
    const start = performance.now();
    for (const part of ['<a:', '<', '<aaaaaaaaa', '>', '<a:b>', '<a>'])
      for (const tail of ['', '>']) extractTags(part.repeat(200_000 / part.length) + tail);
    expect(performance.now() - start).toBeLessThan(2000);
  });
});
