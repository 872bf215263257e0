/** LoRAs as an option and as a flag. */
import { describe, expect, it } from 'vitest';
import { parseLora, resolveLoras } from '../../lib/adapters/lora-options.js';
import { resolveOptions } from '../../lib/pipelines/options.js';

describe('the flag --lora', () => {
  it.each([
    ['a.safetensors', { path: 'a.safetensors' }],
    ['a.safetensors:0.8', { path: 'a.safetensors', weight: 0.8 }],
    ['a.safetensors:-1', { path: 'a.safetensors', weight: -1 }],
    ['a.safetensors:.5:0', { path: 'a.safetensors', weight: 0.5, textEncoderWeight: 0 }],
    ['C:\\loras\\a.safetensors', { path: 'C:\\loras\\a.safetensors' }],
    ['C:\\loras\\a.safetensors:0.8', { path: 'C:\\loras\\a.safetensors', weight: 0.8 }],
    ['C:/a.safetensors:1:2', { path: 'C:/a.safetensors', weight: 1, textEncoderWeight: 2 }],
    ['a:b.safetensors', { path: 'a:b.safetensors' }],
    ['a.safetensors:', { path: 'a.safetensors:' }],
    ['1.5', { path: '1.5' }],
  ])('parses %s', (text, expected) => {
    expect(parseLora(text)).toEqual(expected);
  });

  it('rejects an empty value', () => {
    expect(() => parseLora('')).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });
});

describe('the option loras', () => {
  it('defaults weight to 1 and textEncoderWeight to weight', () => {
    expect(resolveLoras(undefined)).toEqual([]);
    expect(
      resolveLoras([{ path: 'a' }, { path: 'b', weight: -0.5 }, { path: 'c', textEncoderWeight: 0 }]),
    ).toEqual([
      { path: 'a', weight: 1, textEncoderWeight: 1 },
      { path: 'b', weight: -0.5, textEncoderWeight: -0.5 },
      { path: 'c', weight: 1, textEncoderWeight: 0 },
    ]);
  });

  it.each([
    ['loras', 'a.safetensors'],
    ['loras', { path: 'a' }],
    ['loras', new Array(21).fill({ path: 'a' })],
    ['loras[0]', ['a.safetensors']],
    ['loras[0].path', [{}]],
    ['loras[0].path', [{ path: '' }]],
    ['loras[1].weight', [{ path: 'a' }, { path: 'b', weight: '1' }]],
    ['loras[0].weight', [{ path: 'a', weight: Number.NaN }]],
    ['loras[0].textEncoderWeight', [{ path: 'a', textEncoderWeight: 101 }]],
  ])('rejects an invalid %s', (name, loras) => {
    const resolve = () => resolveOptions({ prompt: 'a', loras: loras as [] }, {}, 8);
    expect(resolve).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
    expect(resolve).toThrow(name);
  });

  it('suggests the name of a misspelt key', () => {
    expect(() => resolveLoras([{ path: 'a', textEncoderWieght: 1 }])).toThrow('textEncoderWeight');
  });
});
