import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { EmbeddedConfig } from '../../lib/checkpoint/config/embedded-config.js';
import { readGguf } from '../../lib/checkpoint/formats/gguf.js';
import { layoutGguf } from '../../lib/checkpoint/formats/gguf-writer.js';
import { starterModel } from '../../lib/checkpoint/open.js';
import { openModel } from '../../lib/families/registry.js';
import { convertModel } from '../../lib/tools/convert.js';
import { scratch } from '../support/checkpoint/sparse-files.js';

const root = scratch();

describe('output of convertModel', () => {
  test('keeps the existing file and leaves no other after an abort', async () => {
    const folder = join(root, 'atomic');
    const out = join(folder, 'model.gguf');
    mkdirSync(folder);
    writeFileSync(out, 'old');
    const controller = new AbortController();
    const seen: number[] = [];
    const conversion = convertModel(starterModel, out, {
      storage: 'q4_K',
      signal: controller.signal,
      onProgress: (done, total) => {
        seen.push(done / total);
        controller.abort(new Error('enough'));
      },
    });
    await expect(conversion).rejects.toMatchObject({ code: 'ABORTED', cause: new Error('enough') });
    expect(readdirSync(folder)).toEqual(['model.gguf']);
    expect(readFileSync(out, 'utf8')).toBe('old');
    expect(seen[0]).toBeLessThanOrEqual(1);
    // An exception of the progress callback has the same effect.
    const thrown = new Error('mine');
    await expect(
      convertModel(starterModel, out, {
        onProgress: () => {
          throw thrown;
        },
      }),
    ).rejects.toBe(thrown);
    expect(readdirSync(folder)).toEqual(['model.gguf']);
  });

  test('rejects a folder without write permission and a name that does not end in .gguf', async () => {
    await expect(convertModel(starterModel, join(root, 'none', 'x.gguf'))).rejects.toMatchObject({
      code: 'FILE_NOT_WRITTEN',
    });
    await expect(convertModel(starterModel, join(root, 'x.safetensors'))).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
  });
});

describe('a config inside a file', () => {
  const good = (async () => {
    const out = join(root, 'good.gguf');
    await convertModel(starterModel, out);
    const { metadata, tensors } = await readGguf(out);
    return { config: metadata.get('safelight.config'), tensors };
  })();
  const changed = async (change: (config: EmbeddedConfig) => unknown) => {
    const { config: found, tensors } = await good;
    const config = JSON.parse(found?.type === 'string' ? found.value : '') as EmbeddedConfig;
    const answer = change(config);
    // Editing a part changes the whole in place.
    const text = typeof answer === 'string' || isWhole(answer) ? answer : config;
    const layout = layoutGguf(
      new Map([
        [
          'safelight.config',
          { type: 'string', value: typeof text === 'string' ? text : JSON.stringify(text) },
        ],
      ]),
      [...tensors.values()].map(({ name, shape, dtype: type }) => ({ name, shape, type })),
    );
    const path = join(root, 'changed.gguf');
    writeFileSync(path, Buffer.concat([layout.header, Buffer.alloc(layout.size - layout.header.length)]));
    return openModel(path);
  };

  const isWhole = (value: unknown) => typeof value === 'object' && value !== null && 'family' in value;

  test.each<[string, string, (config: EmbeddedConfig) => unknown]>([
    ['invalid JSON', 'INVALID_FILE', () => '{'],
    ['a later version', 'UNSUPPORTED_MODEL', (config) => ({ ...config, version: 2 })],
    ['an unknown field', 'INVALID_FILE', (config) => ({ ...config, more: 1 })],
    ['a missing level', 'INVALID_FILE', ({ unet }) => void unet!.num_attention_heads.pop()],
    [
      'a head count that does not divide the width',
      'UNSUPPORTED_MODEL',
      ({ unet }) => Object.assign(unet!, { num_attention_heads: [7, 7, 7] }),
    ],
    ['an absurdly large width', 'INVALID_FILE', ({ unet }) => Object.assign(unet!.block_out_channels, [1e9])],
    ['a whole model without a U-Net', 'INVALID_FILE', (config) => ({ ...config, unet: null })],
    ['two encoders where one belongs', 'INVALID_FILE', ({ text_encoders: list }) => void list.push(list[0]!)],
    ['a missing layer', 'INVALID_FILE', ({ text_encoders: [one] }) => Object.assign(one!, { layer: 99 })],
    [
      'a missing tokenizer',
      'INVALID_FILE',
      ({ text_encoders: [one] }) => Object.assign(one!, { tokenizer: 3 }),
    ],
  ])('is checked like any other and rejected with %s', async (_, code, change) => {
    await expect(changed(change)).rejects.toMatchObject({ code });
  });
});
