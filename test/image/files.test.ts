import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeOutput } from '../../lib/files/write.js';
import { formatParameters, parseParameters } from '../../lib/image/parameters.js';
import { encodePng, readPngText } from '../../lib/image/png.js';
import { readImage } from '../../lib/image/read.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'safelight-image-'));
});
afterAll(() => rm(folder, { recursive: true }));

const pixels = {
  data: Uint8Array.from({ length: 6 * 4 * 3 }, (_, i) => (i * 37) % 256),
  width: 6,
  height: 4,
};

describe('readImage', () => {
  it('reads what writeImage wrote, from a path, a URL and bytes', async () => {
    const png = await encodePng(pixels);
    const path = join(folder, 'a picture #1.png');
    await writeOutput(path, png);
    for (const source of [path, pathToFileURL(path), png]) {
      const image = await readImage(source);
      expect(image).toMatchObject({ width: 6, height: 4, channels: 3 });
      expect([...image.data]).toEqual([...pixels.data]);
    }
  });

  it('accepts pixels unchanged', async () => {
    expect([...(await readImage(pixels)).data]).toEqual([...pixels.data]);
    const gray = await readImage({ data: Uint8Array.of(7, 9), width: 2, height: 1 });
    expect([...gray.data]).toEqual([7, 7, 7, 9, 9, 9]);
  });

  it('composites transparency on white, or keeps it', async () => {
    const raw = { width: 2, height: 1, channels: 4 } as const;
    const rgba = Uint8Array.of(200, 100, 0, 255, 200, 100, 0, 0);
    for (const source of [await sharp(rgba, { raw }).png().toBuffer(), { data: rgba, width: 2, height: 1 }]) {
      expect([...(await readImage(source)).data]).toEqual([200, 100, 0, 255, 255, 255]);
      expect([...(await readImage(source, { alpha: 'keep' })).data]).toEqual([...rgba]);
    }
  });

  it('returns three channels for gray and 16-bit images', async () => {
    const gray = await sharp(Uint8Array.of(0, 128, 255, 64), { raw: { width: 2, height: 2, channels: 1 } })
      .toColourspace('b-w')
      .png()
      .toBuffer();
    expect([...(await readImage(gray)).data]).toEqual([0, 0, 0, 128, 128, 128, 255, 255, 255, 64, 64, 64]);
    const deep = await sharp(pixels.data, { raw: { width: 6, height: 4, channels: 3 } })
      .toColourspace('rgb16')
      .png()
      .toBuffer();
    const image = await readImage(deep);
    expect(image.channels).toBe(3);
    expect(image.data.every((v, i) => Math.abs(v - pixels.data[i]!) <= 1)).toBe(true);
  });

  it('rotates an image by its EXIF orientation', async () => {
    const turned = await sharp(pixels.data, { raw: { width: 6, height: 4, channels: 3 } })
      .withMetadata({ orientation: 6 })
      .png()
      .toBuffer();
    const image = await readImage(turned);
    expect(image).toMatchObject({ width: 4, height: 6 });
    // The bottom left pixel moves to the top left.
    expect([...image.data.subarray(0, 3)]).toEqual([...pixels.data.subarray(3 * 6 * 3, 3 * 6 * 3 + 3)]);
  });

  it('rejects an image whose header declares too many pixels, before decoding it', async () => {
    const png = Buffer.from(await encodePng(pixels));
    png.writeUInt32BE(60000, 16);
    png.writeUInt32BE(60000, 20);
    await expect(readImage(png)).rejects.toMatchObject({ code: 'INVALID_IMAGE' });
    await expect(readImage(await encodePng(pixels), { maxPixels: 23 })).rejects.toMatchObject({
      code: 'INVALID_IMAGE',
    });
  });

  it('reports a missing, empty or truncated file, a folder and a file that is not an image', async () => {
    await expect(readImage(join(folder, 'nowhere.png'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(readImage(folder)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    const noise = Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * i * 31) % 251);
    const whole = await encodePng({ data: noise, width: 64, height: 64 });
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>');
    for (const bytes of [new Uint8Array(0), whole.subarray(0, whole.length / 2), Buffer.from('hello'), svg]) {
      await expect(readImage(bytes)).rejects.toMatchObject({ code: 'INVALID_IMAGE' });
    }
    const wrong = { data: new Uint8Array(5), width: 2, height: 1 };
    await expect(readImage(wrong)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});

describe('PNG text', () => {
  it.each([
    ['Latin-1 text', 'a café, Steps: 20\nline', 'tEXt'],
    ['text beyond Latin-1', 'りんご 🍎', 'iTXt'],
  ])('%s is written as %s and read back', async (_name, text, type) => {
    const png = await encodePng(pixels, { parameters: text });
    expect(readPngText(png)).toEqual({ parameters: text });
    expect(Buffer.from(png).includes(type)).toBe(true);
    // libvips reads Latin-1 as UTF-8, so only the keyword can be compared; it proves that the chunk is well
    // formed.
    expect((await sharp(png).metadata()).comments).toMatchObject([{ keyword: 'parameters' }]);
    expect([...(await readImage(png)).data]).toEqual([...pixels.data]);
  });

  it('never throws for damaged chunks, and rejects a file that is not PNG', async () => {
    const png = await encodePng(pixels, { parameters: 'りんご' });
    for (let length = 33; length < png.length; length += 3) readPngText(png.subarray(0, length));
    expect(() => readPngText(Buffer.from('GIF89a'))).toThrowError(
      expect.objectContaining({ code: 'INVALID_IMAGE' }),
    );
  });
});

describe('generation parameters', () => {
  const fields = { Steps: '20', Sampler: 'DPM++ 2M', 'Schedule type': 'Karras', Seed: '42', Size: '512x512' };

  it('are written in the format of A1111', () => {
    const text = formatParameters({ prompt: 'a (red:1.2) apple', negative: 'blurry', fields });
    expect(text).toBe(
      'a (red:1.2) apple\nNegative prompt: blurry\n' +
        'Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, Seed: 42, Size: 512x512',
    );
  });

  it.each([
    ['an empty prompt', '', ''],
    ['words', 'a red apple', 'worm'],
    ['lines', 'a\n\nb\nc', 'd\ne'],
    ['quotes, colons and commas', 'say "hi", key: value, Steps: 3, Size: 1x1', '"'],
    ['text that resembles a negative prompt', 'x\nNegative prompt: y', 'z'],
    ['text that resembles the last line', 'Steps: 1, Seed: 2, Size: 3x3', 'Steps: 1, Seed: 2, Size: 3x3'],
    ['whitespace at the ends', '  a \n b  ', '\n'],
    ['Unicode', 'りんご 🍎 — é', '\u2028'],
    ['control characters', 'a\0b\tc\r\nd\\e', '\u0007'],
    ['half a surrogate pair', '\ud83c', 'a\udf4e'],
    ['a very long line', 'word '.repeat(20_000), 'x'.repeat(100_000)],
  ])('a prompt with %s is read back from an image', async (_name, prompt, negative) => {
    const png = await encodePng(pixels, { parameters: formatParameters({ prompt, negative, fields }) });
    expect(parseParameters(readPngText(png).parameters!)).toEqual({ prompt, negative, fields });
  });

  it('keep the values of fields, whatever characters they contain', () => {
    const odd = { Steps: '1', Model: 'a, b: "c"', VAE: '"quoted"', 'Hires prompt': 'x\ny', Empty: '' };
    expect(parseParameters(formatParameters({ prompt: 'p', negative: '', fields: odd })).fields).toEqual(odd);
  });

  it('are read as a prompt if there are no fields, in linear time for a malicious text', () => {
    expect(parseParameters('just words')).toEqual({ prompt: 'just words', negative: '', fields: {} });
    for (const hostile of [
      'a'.repeat(300_000),
      'a: "'.repeat(100_000),
      'a:,'.repeat(100_000),
      '"\\'.repeat(100_000),
    ]) {
      const start = performance.now();
      parseParameters(hostile);
      expect(performance.now() - start).toBeLessThan(1000);
    }
  });
});
