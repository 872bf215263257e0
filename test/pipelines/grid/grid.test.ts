import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { encodePng, readPngText } from '../../../lib/image/png.js';
import { readImage } from '../../../lib/image/read.js';
import { UNet } from '../../../lib/modules/unet.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { GridAxes } from '../../../lib/pipelines/grid/axes.js';
import type { CellOptions } from '../../../lib/pipelines/grid/cell-options.js';
import type { GridCell, GridProgress } from '../../../lib/pipelines/grid/generate-cells.js';
import {
  type GridControl,
  type GridResult,
  generateGrid,
} from '../../../lib/pipelines/grid/generate-grid.js';

let pipeline: Pipeline;
let folder = '';
beforeAll(async () => {
  pipeline = await Pipeline.load(undefined, { threads: 1 });
});
afterAll(() => pipeline.dispose());
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'safelight-grid-'));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const BASE: CellOptions = { prompt: 'a red apple', seed: 3, width: 32, height: 32, steps: 1 };
const AXES: GridAxes = { x: 'steps=1,2', y: 'prompt-sr=red,green' };

const evaluations = () => vi.spyOn(UNet.prototype, 'forward');
const cached = (extra: GridControl = {}): GridControl => ({ cache: join(folder, 'cells'), ...extra });

/** Returns the pixels of a cell in the sheet, which has no rounding or scaling. */
function onSheet({ sheet }: GridResult, columns: number, rows: number, x: number, y: number): Uint8Array[] {
  const left = sheet.width - (32 * columns + 4 * (columns - 1)) + 36 * x;
  const top = sheet.height - (32 * rows + 4 * (rows - 1)) + 36 * y;
  return Array.from({ length: 32 }, (_, row) => {
    const from = ((top + row) * sheet.width + left) * 3;
    return sheet.data.subarray(from, from + 96);
  });
}

describe('generateGrid', () => {
  it('generates each cell bit for bit as a single generation, and copies it onto the sheet', async () => {
    const result = await generateGrid(pipeline, BASE, AXES);
    expect([result.generated, result.reused, result.seed]).toEqual([4, 0, 3]);
    const seen = new Set<string>();
    for (const { x, y, image } of result.cells) {
      const single = await pipeline.generate({
        ...BASE,
        steps: x + 1,
        prompt: y === 0 ? 'a red apple' : 'a green apple',
      });
      const pixels = single.images[0]!.data;
      expect(image!.data).toEqual(pixels);
      expect(Buffer.concat(onSheet(result, 2, 2, x, y)).equals(Buffer.from(pixels))).toBe(true);
      seen.add(Buffer.from(pixels).toString('base64'));
    }
    expect(seen.size).toBe(4);
  });

  it('reports its cells and their progress', async () => {
    const cells: GridCell[] = [];
    const progress: GridProgress[] = [];
    await generateGrid(pipeline, BASE, AXES, {
      onCell: (cell) => cells.push(cell),
      onProgress: (report) => progress.push(report),
    });
    expect(cells.map(({ x, y }) => [x, y])).toEqual([
      [0, 0],
      [1, 0],
      [0, 1],
      [1, 1],
    ]);
    expect(progress.at(-1)).toEqual({ cell: 4, cells: 4 });
    expect(progress.some(({ cell, progress: inner }) => cell === 1 && inner?.phase === 'denoise')).toBe(true);
  });

  it('keeps the cells finished before an abort for the reason finish, and no unfinished one', async () => {
    const controller = new AbortController();
    const spy = evaluations();
    spy.mockImplementation(function (this: UNet, ...given) {
      if (spy.mock.calls.length === 4) queueMicrotask(() => controller.abort('finish'));
      return original.apply(this, given);
    });
    const result = await generateGrid(
      pipeline,
      { ...BASE, cfg: 1, sampler: 'euler' },
      { x: 'steps=1,2,3' },
      {
        signal: controller.signal,
      },
    );
    expect(spy.mock.calls.length).toBe(4);
    expect(result.cells.map(({ image }) => image !== undefined)).toEqual([true, true, false]);
    expect(result.generated).toBe(2);
    expect(new Set(Buffer.concat(onSheet(result, 3, 1, 2, 0)))).toEqual(new Set([255]));
    expect(Buffer.concat(onSheet(result, 3, 1, 1, 0)).equals(Buffer.from(result.cells[1]!.image!.data))).toBe(
      true,
    );
  });

  it('rejects with ABORTED for every other reason', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(generateGrid(pipeline, BASE, AXES, { signal })).rejects.toMatchObject({
      code: 'ABORTED',
      cause: signal.reason,
    });
    const controller = new AbortController();
    const running = generateGrid(pipeline, BASE, AXES, {
      signal: controller.signal,
      onCell: () => controller.abort('stop'),
    });
    await expect(running).rejects.toMatchObject({ code: 'ABORTED', cause: 'stop' });
  });

  it('saves the sheet', async () => {
    const { sheet } = await generateGrid(pipeline, BASE, { x: 'steps=1,2' });
    const path = await sheet.save(join(folder, 'sheet.png'));
    expect(new Uint8Array((await readImage(readFileSync(path))).data)).toEqual(sheet.data);
    expect(await sheet.save(join(folder, 'sheet.png'))).toBe(join(folder, 'sheet-2.png'));
    await sheet.save(join(folder, 'sheet.webp'));
    expect(readdirSync(folder).sort()).toEqual(['sheet-2.png', 'sheet.png', 'sheet.webp']);
  });

  it.each<[unknown, unknown, unknown]>([
    [BASE, { x: 'steps=0' }, {}],
    [{ ...BASE, width: 33 }, { x: 'steps=1' }, {}],
    [BASE, AXES, { signal: 5 }],
    [BASE, AXES, { onCell: 5 }],
    [BASE, AXES, { cache: '' }],
    [BASE, AXES, { resume: true }],
  ])('rejects %j with the axes %j and the control %j before it generates', async (options, axes, control) => {
    const spy = evaluations();
    await expect(
      generateGrid(pipeline, options as CellOptions, axes as GridAxes, control as GridControl),
    ).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    expect(spy).not.toHaveBeenCalled();
  });
});

const original = UNet.prototype.forward;

describe('generateGrid with a cache', () => {
  it('generates nothing again, and draws the same sheet', async () => {
    const first = await generateGrid(pipeline, BASE, AXES, cached());
    const spy = evaluations();
    const second = await generateGrid(pipeline, BASE, AXES, cached());
    expect(spy).not.toHaveBeenCalled();
    expect([second.generated, second.reused]).toEqual([0, 4]);
    expect(Buffer.from(second.sheet.data).equals(Buffer.from(first.sheet.data))).toBe(true);
    const texts = await Promise.all(second.cells.map(async ({ image }) => readPngText(await image!.png())));
    expect(texts[3]!.parameters).toMatch(/^a green apple\nSteps: 2,/);
    const plain = await second.cells[0]!.image!.png({ metadata: false });
    expect(readPngText(plain)).toEqual({});
  });

  it('generates only the missing cells after an interruption', async () => {
    const controller = new AbortController();
    const partial = await generateGrid(
      pipeline,
      BASE,
      AXES,
      cached({ signal: controller.signal, onCell: ({ y }) => y === 1 && controller.abort('finish') }),
    );
    expect([partial.generated, partial.reused]).toEqual([3, 0]);
    const rest = await generateGrid(pipeline, BASE, AXES, cached());
    expect([rest.generated, rest.reused]).toEqual([1, 3]);
    const whole = await generateGrid(pipeline, BASE, AXES);
    expect(Buffer.from(rest.sheet.data).equals(Buffer.from(whole.sheet.data))).toBe(true);
  });

  it('recognizes cells in another grid, whatever the order of the options', async () => {
    await generateGrid(pipeline, BASE, AXES, cached());
    const { steps: _, ...rest } = BASE;
    const other = await generateGrid(pipeline, { height: 32, ...rest }, { y: 'steps=1-3' }, cached());
    expect([other.generated, other.reused]).toEqual([1, 2]);
  });

  it('uses a random seed again, but not one that was given', async () => {
    const { seed: _, ...random } = BASE;
    const first = await generateGrid(pipeline, random, { x: 'steps=1,2' }, cached());
    const second = await generateGrid(pipeline, random, { x: 'steps=1,2' }, cached());
    expect([second.seed, second.generated]).toEqual([first.seed, 0]);
    const other = await generateGrid(pipeline, BASE, { x: 'steps=1,2' }, cached());
    expect([other.seed, other.generated]).toEqual([3, 2]);
  });

  it('generates a cell again for other options, another key, a changed input file or a damaged file', async () => {
    const init = join(folder, 'init.png');
    const image = { data: new Uint8Array(32 * 32 * 3).fill(90), width: 32, height: 32 };
    writeFileSync(init, await encodePng(image));
    const options = { ...BASE, init, strength: 1 };
    const generated = async (given: CellOptions, extra: GridControl = {}) =>
      (await generateGrid(pipeline, given, { x: 'steps=1,2' }, cached(extra))).generated;
    expect(await generated(options)).toBe(2);
    expect(await generated(options)).toBe(0);
    expect(await generated({ ...options, cfg: 3 })).toBe(2);
    expect(await generated(options, { cacheKey: 'lean' })).toBe(2);
    utimesSync(init, 1, 1);
    expect(await generated(options)).toBe(2);
    const cells = join(folder, 'cells');
    for (const name of readdirSync(cells)) writeFileSync(join(cells, name), 'damaged');
    expect(await generated(options)).toBe(2);
  });

  it('rejects options that a later run could not recognize', async () => {
    const init = { data: new Uint8Array(32 * 32 * 3), width: 32, height: 32 };
    const bytes = await encodePng(init);
    await expect(
      generateGrid(pipeline, { ...BASE, init: bytes }, { x: 'steps=1' }, cached()),
    ).rejects.toMatchObject({ code: 'INVALID_OPTION', message: expect.stringContaining('init') });
  });

  it('rejects a folder that cannot be created', async () => {
    const path = join(folder, 'file');
    writeFileSync(path, '');
    await expect(
      generateGrid(pipeline, BASE, { x: 'steps=1' }, { cache: join(path, 'cells') }),
    ).rejects.toMatchObject({ code: 'FILE_NOT_WRITTEN' });
    expect(existsSync(join(path, 'cells'))).toBe(false);
  });
});
