/** Values accepted as an image, and the errors for all other values. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SafelightError } from '../../lib/errors.js';
import { encodePng } from '../../lib/image/png.js';
import { type ImageSource, readImage } from '../../lib/image/read.js';

let folder: string;
let path: string;
let png: Buffer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'safelight-sources-'));
  path = join(folder, 'an image #1%.png');
  png = Buffer.from(await encodePng(pixels));
  await writeFile(path, png);
});
afterAll(() => rm(folder, { recursive: true }));

const pixels = {
  data: Uint8Array.from({ length: 6 * 4 * 3 }, (_, i) => (i * 37) % 256),
  width: 6,
  height: 4,
};
const failure = (source: unknown): Promise<SafelightError> =>
  readImage(source as ImageSource).then(
    () => expect.fail('the image was read'),
    (error: unknown) => error as SafelightError,
  );

/** Bytes at an odd offset in a larger buffer. */
function within(bytes: Uint8Array, shared = false): { buffer: ArrayBufferLike; at: number } {
  const buffer = shared ? new SharedArrayBuffer(bytes.length + 9) : new ArrayBuffer(bytes.length + 9);
  new Uint8Array(buffer).set(bytes, 5);
  return { buffer, at: 5 };
}

describe('image sources', () => {
  it('accepts paths and file URLs, as text and as URL objects', async () => {
    const url = pathToFileURL(path);
    for (const source of [path, url, url.href, url.href.replace('file:', 'FILE:')])
      expect([...(await readImage(source)).data]).toEqual([...pixels.data]);
  });

  it('accepts the bytes of a file in every kind of buffer and view', async () => {
    const [own, shared] = [within(png), within(png, true)];
    const exact = Uint8Array.from(png).buffer;
    const sources: ImageSource[] = [
      png,
      new Uint8Array(png),
      new Uint8ClampedArray(png),
      exact,
      new DataView(own.buffer, own.at, png.length),
      new Uint8Array(own.buffer, own.at, png.length),
      new Uint8Array(shared.buffer, shared.at, png.length),
      new DataView(shared.buffer, shared.at, png.length),
    ];
    for (const source of sources) expect([...(await readImage(source)).data]).toEqual([...pixels.data]);
    const whole = new SharedArrayBuffer(png.length);
    new Uint8Array(whole).set(png);
    expect([...(await readImage(whole)).data]).toEqual([...pixels.data]);
  });

  it('accepts a Blob, a File and objects with the same interface', async () => {
    const like = { size: png.length, type: '', arrayBuffer: async () => Uint8Array.from(png).buffer };
    for (const source of [new Blob([png]), new File([png], 'a.png', { type: 'image/png' }), like])
      expect([...(await readImage(source)).data]).toEqual([...pixels.data]);
    const broken = { size: 1, type: '', arrayBuffer: () => Promise.reject(new Error('gone')) };
    expect(await failure(broken)).toMatchObject({
      code: 'INVALID_IMAGE',
      message: expect.stringContaining('gone'),
    });
  });

  it('accepts data URIs in any case, with parameters, in base64 or percent-encoded', async () => {
    const base64 = png.toString('base64');
    const percent = [...png].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
    const sources = [
      `data:image/png;base64,${base64}`,
      `DATA:Image/PNG;Base64,${base64}`,
      `data:image/png;name=a.png;charset=utf-8;BASE64,${base64}`,
      `data:;base64,${base64}`,
      `data:text/plain;base64 ,${base64.replace(/=+$/, '')}`,
      `data:image/png;base64,${base64.replace(/(.{20})/g, '$1\r\n')}`,
      `data:image/png;base64,${png.toString('base64url')}`,
      `data:image/png;base64,${encodeURIComponent(base64)}`,
      `data:image/png,${percent}`,
      new URL(`data:image/png;base64,${base64}`),
    ];
    for (const source of sources)
      expect([...(await readImage(source)).data], String(source).slice(0, 40)).toEqual([...pixels.data]);
  });

  it.each([1, 3, 4] as const)(
    'accepts pixels of %i channels, as bytes and as those of a canvas',
    async (channels) => {
      const data = Uint8Array.from({ length: 8 * channels }, (_, i) => (i % channels === 3 ? 255 : 20 + i));
      const expected = [...Array(8).keys()].flatMap((i) =>
        [0, 1, 2].map((c) => data[i * channels + (channels === 1 ? 0 : c)]!),
      );
      const sources: ImageSource[] = [
        { data, width: 4, height: 2 },
        { data, width: 4, height: 2, channels },
        { data: new Uint8ClampedArray(data), width: 4, height: 2 },
      ];
      for (const source of sources) expect([...(await readImage(source)).data]).toEqual(expected);
    },
  );

  it('accepts an ImageData, whose fields are getters of its class', async () => {
    class ImageData {
      get data() {
        return Uint8ClampedArray.of(1, 2, 3, 255, 9, 9, 9, 0);
      }
      get width() {
        return 2;
      }
      get height() {
        return 1;
      }
      readonly colorSpace = 'srgb';
    }
    expect([...(await readImage(new ImageData())).data]).toEqual([1, 2, 3, 255, 255, 255]);
  });
});

describe('rejected image sources', () => {
  it.each(['https://example.com/a.png', 'HTTP://example.com/a.png', new URL('https://example.com/a.png')])(
    'rejects the web address %s and recommends to fetch it first',
    async (source) => {
      const error = await failure(source);
      expect(error).toMatchObject({
        code: 'INVALID_OPTION',
        message: expect.stringContaining('await fetch(url)'),
      });
    },
  );

  it('rejects other values with a list of accepted types and how to convert', async () => {
    const cases: [unknown, RegExp][] = [
      [undefined, /a path, a file: or data: URL/],
      [null, /Blob/],
      [7, /pixels as/],
      [Symbol('a'), /pixels as/],
      [() => png, /pixels as/],
      ['', /a path/],
      ['a\0b', /a path/],
      ['blob:nodedata:1', /read it first/],
      ['s3://bucket/a.png', /read it first/],
      ['file://elsewhere/a.png', /file: URL of this machine/],
      [[png], /one image/],
      [[1, 2, 3], /one image/],
      [new Float32Array(12), /numbers/],
      [Promise.resolve(png), /await it/],
      [new Response(png), /response\.arrayBuffer/],
      [new ReadableStream(), /stream/],
      [{ getContext: () => null }, /getImageData/],
      [{}, /a path/],
      [{ data: png }, /image\.width/],
      [{ width: 4, height: 4 }, /image\.data/],
      [{ data: [1, 2, 3], width: 1, height: 1 }, /image\.data/],
      [{ data: new Float32Array(3), width: 1, height: 1 }, /Uint8ClampedArray/],
      [{ data: new Uint8Array(3), width: 0, height: 1 }, /image\.width/],
      [{ data: new Uint8Array(3), width: 1, height: '1' }, /image\.height/],
      [{ data: new Uint8Array(6), width: 1.5, height: 2 }, /image\.width/],
      [{ data: new Uint8Array(5), width: 1, height: 1 }, /1, 3 or 4 bytes/],
      [{ data: new Uint8Array(2), width: 1, height: 1 }, /1, 3 or 4 bytes/],
      [{ data: new Uint8Array(3), width: 1, height: 1, channels: 4 }, /channels: 4/],
    ];
    for (const [source, message] of cases) {
      const error = await failure(source);
      expect(error, String(message)).toBeInstanceOf(SafelightError);
      expect(error.code).toBe('INVALID_OPTION');
      expect(error.message).toMatch(message);
    }
  });

  it('distinguishes bytes that cannot be decoded from values that are not images', async () => {
    const clamped = await failure(new Uint8ClampedArray(4 * 16));
    expect(clamped).toMatchObject({
      code: 'INVALID_IMAGE',
      message: expect.stringContaining('{ data, width, height }'),
    });
    const gone = new Uint8Array(png);
    structuredClone(gone, { transfer: [gone.buffer] });
    const sources = [
      'data:image/png;base64,%%%',
      'data:image/png',
      'data:image/png;base64,A',
      'data:,hello',
      gone,
      gone.buffer,
      new Blob([]),
    ];
    for (const source of sources) expect((await failure(source)).code).toBe('INVALID_IMAGE');
    const base64 = await failure(png.toString('base64'));
    expect(base64).toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: expect.stringContaining('data:image/png;base64'),
    });
  });

  it('rejects unknown options and values', async () => {
    for (const options of [{ alpha: 'black' }, { maxPixels: 0 }, { maxPixel: 9 }, null, 7])
      await expect(readImage(pixels, options as never)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});
