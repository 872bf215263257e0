import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readPngText } from '../../lib/image/png.js';
import { GeneratedImage } from '../../lib/pipelines/image-result.js';
import { Tensor } from '../../lib/tensor/tensor.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'safelight-save-'));
});
afterAll(() => rm(folder, { recursive: true }));

const image = new GeneratedImage(
  { data: Uint8Array.from({ length: 16 * 16 * 3 }, (_, i) => (i * 37) % 256), width: 16, height: 16 },
  { latent: Tensor.zeros([1, 4, 2, 2]), seed: 1, parameters: 'an apple' },
);

describe('save', () => {
  it.each([
    ['a.png', 'png'],
    ['a.PNG', 'png'],
    ['a', 'png'],
    ['a.jpg', 'jpeg'],
    ['a.JPeG', 'jpeg'],
    ['a.webp', 'webp'],
  ])('writes %s as %s', async (name, format) => {
    const path = await image.save(join(folder, name), { overwrite: true });
    expect(path).toBe(join(folder, name));
    expect((await sharp(await readFile(path)).metadata()).format).toBe(format);
  });

  it.each(['a.gif', 'a.jpg.exe', 'a.tiff', 'a.jp2'])('rejects %s and writes nothing', async (name) => {
    const before = await readdir(folder);
    await expect(image.save(join(folder, name))).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('.png, .jpg, .jpeg or .webp'),
    });
    expect(await readdir(folder)).toEqual(before);
  });

  it('accepts a file: URL, and appends a number to an existing name', async () => {
    const path = join(folder, 'an apple #1.png');
    expect(await image.save(pathToFileURL(path))).toBe(path);
    expect(await image.save(pathToFileURL(path))).toBe(join(folder, 'an apple #1-2.png'));
    expect(readPngText(await readFile(path))).toEqual({ parameters: 'an apple' });
  });

  it('writes smaller JPEG files at a lower quality', async () => {
    const sizes = await Promise.all(
      [10, 95].map(
        async (quality) =>
          (await readFile(await image.save(join(folder, `q${quality}.jpg`), { quality }))).length,
      ),
    );
    expect(sizes[0]).toBeLessThan(sizes[1]!);
  });

  it('rejects unknown options and invalid values', async () => {
    for (const options of [{ quality: 0 }, { quality: 101 }, { format: 'png' }, { overwrite: 'yes' }])
      await expect(image.save(join(folder, 'x.jpg'), options as object)).rejects.toMatchObject({
        code: 'INVALID_OPTION',
      });
    await expect(image.save(7 as unknown as string)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});
