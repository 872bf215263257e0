import { describe, expect, it } from 'vitest';
import { parseAxis } from '../../../lib/pipelines/grid/axis.js';
import { drawLabel } from '../../../lib/pipelines/grid/labels.js';
import { checkSheetSize, drawSheet } from '../../../lib/pipelines/grid/sheet.js';
import type { RgbImage } from '../../../lib/tensor/render.js';

function filled(width: number, height: number, value: number): RgbImage {
  return { data: new Uint8Array(width * height * 3).fill(value), width, height };
}

function cut({ data, width }: RgbImage, x: number, y: number, w: number, h: number): number[] {
  const rows = Array.from({ length: h }, (_, row) => [
    ...data.subarray(((y + row) * width + x) * 3, ((y + row) * width + x + w) * 3),
  ]);
  return rows.flat();
}

const share = (values: readonly number[], value: number) =>
  values.filter((one) => one === value).length / values.length;

const axis = (text: string) => parseAxis('x', text);
const none = { x: undefined, y: undefined, z: undefined };
const SIZE = { width: 40, height: 30 };

describe('drawSheet', () => {
  it('places images of one row next to each other below their labels', async () => {
    const sheet = await drawSheet({ ...none, x: axis('steps=1,2,3') }, (x) => filled(40, 30, 10 * x), SIZE);
    expect(sheet.width).toBe(3 * 40 + 2 * 4);
    const top = sheet.height - 30;
    expect(top).toBeGreaterThan(20);
    for (const x of [0, 1, 2]) expect(share(cut(sheet, 44 * x, top, 40, 30), 10 * x)).toBe(1);
    // White gaps, and ink of the labels above each column.
    expect(share(cut(sheet, 40, 0, 4, sheet.height), 255)).toBe(1);
    for (const x of [0, 1, 2]) expect(share(cut(sheet, 44 * x, 0, 40, top), 255)).toBeLessThan(0.98);
  });

  it('has a column of labels for rows and a title for each sheet', async () => {
    const axes = { x: axis('steps=1,2'), y: axis('cfg=3,4'), z: axis('seed=8,9') };
    const sheet = await drawSheet(axes, (x, y, z) => filled(40, 30, 100 + x + 2 * y + 4 * z), SIZE);
    const left = sheet.width - (2 * 40 + 4);
    expect(left).toBeGreaterThan(30);
    const block = (sheet.height - 4) / 2;
    expect(Number.isInteger(block)).toBe(true);
    for (const z of [0, 1]) {
      const bottom = z * (block + 4) + block;
      for (const y of [0, 1]) {
        const top = bottom - 64 + 34 * y;
        for (const x of [0, 1])
          expect(share(cut(sheet, left + 44 * x, top, 40, 30), 100 + x + 2 * y + 4 * z)).toBe(1);
        expect(share(cut(sheet, 0, top, left, 30), 255)).toBeLessThan(0.99);
      }
      expect(share(cut(sheet, 0, z * (block + 4), sheet.width, 20), 255)).toBeLessThan(0.99);
    }
  });

  it('draws other pixels for other labels, in any script', async () => {
    const draw = async (text: string) =>
      Buffer.from(
        (await drawSheet({ ...none, x: axis(text) }, () => filled(200, 30, 0), SIZE)).data,
      ).toString('base64');
    const sheets = await Promise.all(
      ['negative=apple', 'negative=pomme', 'negative=яблоко', 'negative=μήλο', 'negative=<b>&'].map(draw),
    );
    expect(new Set(sheets).size).toBe(5);
    expect(await draw('negative=apple')).toBe(sheets[0]);
  });

  it('widens columns and rows for their largest image and centres smaller ones', async () => {
    const sizes = [filled(20, 10, 1), filled(60, 30, 2)];
    const sheet = await drawSheet({ ...none, x: axis('width=64,128') }, (x) => sizes[x], SIZE);
    expect(sheet.width).toBe(20 + 4 + 60);
    const top = sheet.height - 30;
    expect(share(cut(sheet, 0, top + 10, 20, 10), 1)).toBe(1);
    expect(share(cut(sheet, 0, top, 20, 10), 255)).toBe(1);
    expect(share(cut(sheet, 24, top, 60, 30), 2)).toBe(1);
  });

  it('leaves missing cells white', async () => {
    const axes = { ...none, x: axis('steps=1,2') };
    const sheet = await drawSheet(axes, (x) => (x === 0 ? filled(40, 30, 7) : undefined), SIZE);
    expect(sheet.width).toBe(84);
    expect(share(cut(sheet, 44, sheet.height - 30, 40, 30), 255)).toBe(1);
    const empty = await drawSheet(axes, () => undefined, SIZE);
    expect([empty.width, empty.height]).toEqual([sheet.width, sheet.height]);
  });

  it('wraps long labels within their column', async () => {
    const text = `negative=${'word '.repeat(30)}`;
    const long = await drawSheet({ ...none, x: axis(text) }, () => filled(100, 30, 0), SIZE);
    const short = await drawSheet({ ...none, x: axis('negative=word') }, () => filled(100, 30, 0), SIZE);
    expect(long.width).toBe(100);
    expect(long.height).toBeGreaterThan(short.height + 20);
  });

  it('reads images of files when it draws them, and leaves places white whose file is gone', async () => {
    const load = [async () => filled(40, 30, 10), async () => undefined];
    const sheet = await drawSheet(
      { ...none, x: axis('steps=1,2') },
      (x) => ({ width: 40, height: 30, load: load[x]! }),
      SIZE,
    );
    const top = sheet.height - 30;
    expect(share(cut(sheet, 0, top, 40, 30), 10)).toBe(1);
    expect(share(cut(sheet, 44, top, 40, 30), 255)).toBe(1);
  });

  it('refuses a sheet of more than 2^28 pixels', () => {
    expect(() => checkSheetSize(2 ** 14, 2 ** 14)).not.toThrow();
    expect(() => checkSheetSize(2 ** 14, 2 ** 14 + 1)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    );
  });
});

describe('drawLabel', () => {
  const options = { width: 100, maxHeight: 50, size: 14 };

  it('keeps within its width and height', async () => {
    for (const text of ['a', 'x'.repeat(500), 'word '.repeat(500), '\u0000\uD800 a', '<span>&amp;']) {
      const { width, height, data } = await drawLabel(text, options);
      expect(width).toBeLessThanOrEqual(100);
      expect(height).toBeLessThanOrEqual(50);
      expect(data).toHaveLength(width * height * 3);
      expect(Math.min(...data)).toBeLessThan(128);
    }
  });

  it('draws nothing for an empty text', async () => {
    expect(await drawLabel(' \u0007', options)).toMatchObject({ width: 0, height: 0 });
  });
});
