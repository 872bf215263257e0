/** Grids on the web page: axes in the form, the table of images, single images, continuing and downloads. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { starterModel } from '../../lib/checkpoint/open.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import type { Settings } from '../../web/src/logic/settings.js';
import { browserPath, Visitor, withoutBrowser } from './browser.js';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
/** Number of steps of a cell that does not begin before it is released or aborted. */
const HELD = 4;

const GRID: Partial<Settings> = {
  ...{ prompt: 'a red apple', width: 64, height: 64, steps: 1, seed: 5, grid: true },
  ...{ gridX: 'steps=1,2', gridY: 'prompt-sr=red,green' },
};

/** Makes cells with that number of steps wait. Returns a function that releases them. */
function hold(): () => void {
  const generate = Pipeline.prototype.generate;
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  vi.spyOn(Pipeline.prototype, 'generate').mockImplementation(async function (this: Pipeline, given) {
    const { steps, signal } = given!;
    if (steps === HELD)
      await Promise.race([released, new Promise((resolve) => signal?.addEventListener('abort', resolve))]);
    return generate.call(this, given);
  });
  return release;
}

describe.skipIf(browserPath === undefined)(`grids on the web page${withoutBrowser}`, () => {
  let visitor: Visitor;
  let page: Page;
  beforeAll(async () => {
    visitor = await Visitor.start([`starter=${starterModel}`], { 'max-count': 12 });
  });
  beforeEach(() => visitor.forgetAll());
  afterEach(async () => {
    vi.restoreAllMocks();
    await page?.context().close();
  });
  afterAll(() => visitor?.end());

  const section = () => page.locator('summary', { hasText: 'X/Y/Z grid' });
  const generate = () => page.getByRole('button', { name: 'Generate grid' }).click();
  const cells = () => page.locator('button.cell');
  const texts = (selector: string) => page.locator(selector).allInnerTexts();
  const ended = () => page.getByRole('progressbar').waitFor({ state: 'detached' });

  it('generates a grid whose axes are chosen in the form', async () => {
    page = await visitor.visit({ settings: { ...GRID, grid: false, gridX: '', gridY: '' } });
    await section().click();
    await page.getByText('Grid of option values').click();
    await page.getByText('Choose an option for X, Y or Z.').waitFor();
    await page.getByLabel('X (columns)').selectOption({ label: 'Steps' });
    await page.getByLabel('X values').fill('1-2');
    await page.getByLabel('Y (rows)').selectOption({ label: 'Sampler' });
    for (const name of ['Euler', 'Heun'])
      await page.getByRole('group', { name: 'Y values' }).getByRole('button', { name, exact: true }).click();
    await page.getByLabel('Z (sheets)').selectOption({ label: 'Prompt S/R (search and replace)' });
    await page.getByLabel('Z values').fill('red,"green, shiny"');
    await page.getByText('2 columns × 2 rows × 2 sheets = 8 images').last().waitFor();
    await page.reload(); // the axes are still there
    await generate();
    await ended();
    expect(await visitor.newest()).toMatchObject({
      ...{ type: 'grid', status: 'done' },
      options: { x: 'steps=1-2', y: 'sampler=euler,heun', z: 'prompt-sr=red,"green, shiny"', seed: 5 },
    });
    expect(await texts('.grid-table thead th')).toEqual(['steps: 1', 'steps: 2']);
    expect(await texts('.grid-table tbody th')).toEqual(['sampler: euler', 'sampler: heun']);
    expect(await page.locator('.grid-table th[scope="col"]').count()).toBe(2);
    expect(await page.locator('.grid-table th[scope="row"]').count()).toBe(2);
    await page.getByRole('button', { name: 'green, shiny', exact: true }).click();
    await page.getByRole('button', { name: 'Open steps: 1, sampler: euler, green, shiny' }).waitFor();
    const first = await cells().locator('img').first().getAttribute('src');
    await page.getByRole('button', { name: 'red', exact: true }).click();
    const other = page.getByRole('button', { name: 'Open steps: 1, sampler: euler, red', exact: true });
    await other.waitFor();
    expect(await other.locator('img').getAttribute('src')).not.toBe(first);
    await expect.poll(() => page.locator('.gallery .thumb').count()).toBe(8);
  });

  it('shows problems at the field, with the limits of the server, and submits nothing', async () => {
    page = await visitor.visit({ settings: GRID });
    await section().click();
    const values = page.getByLabel('X values');
    for (const [text, problem] of [
      ['4,x', 'or a range such as 1-5'],
      ['4,151', 'between 1 and 150'],
      ['9-1 (+2)', 'a step that leads from the first'],
    ] as const) {
      await values.fill(text);
      await page.locator('.axis .problem', { hasText: problem }).waitFor();
      expect(await values.getAttribute('aria-invalid')).toBe('true');
    }
    await generate();
    await page.locator('.note.bad', { hasText: 'X: Expected' }).waitFor();
    await values.fill('1-7');
    await page.getByText('7 columns × 2 rows = 14 images').last().waitFor();
    await page.getByText('at most 12 images per job').waitFor();
    await page.getByLabel('Y values').fill('pear,plum');
    await page.locator('.axis .problem', { hasText: 'neither the prompt nor' }).waitFor();
    await page.getByLabel('Y (rows)').selectOption({ label: 'Steps' });
    await page.getByLabel('Y values').fill('1,2');
    await values.fill('1,2');
    await page.getByText('a different option for each axis').waitFor();
    expect(await visitor.newest()).toBeUndefined();
  });

  it('offers the options of the mode and none whose values are files', async () => {
    page = await visitor.visit({ settings: GRID });
    await section().click();
    const options = () => page.getByLabel('X (columns)').locator('option').allInnerTexts();
    const ofText = await options();
    expect(ofText).toContain('Hires upscale');
    for (const name of ['Strength', 'Class', 'Lora', 'Init', 'Region', 'Mask', 'Count'])
      expect(ofText).not.toContain(name);
    await page.getByRole('button', { name: 'Image', exact: true }).click();
    expect(await options()).toContain('Strength');
    expect(await options()).not.toContain('Hires upscale');
  });

  it('shows finished cells at once, keeps those of a cancelled grid, and continues with the missing ones', async () => {
    hold();
    page = await visitor.visit({ settings: { ...GRID, gridX: `steps=1,${HELD}` } });
    await generate();
    await cells().first().waitFor();
    await page.getByText('Image 2 of 4').waitFor();
    expect(await page.locator('.cell.now').count()).toBe(1);
    await page.reload();
    await page.getByRole('button', { name: 'Open steps: 1, red' }).waitFor();
    const kept = await cells().first().locator('img').getAttribute('src');
    await page.getByRole('button', { name: 'Cancel', exact: true }).click();
    await page.getByText('3 of 4 images are missing.').waitFor();
    await expect.poll(() => page.locator('.gallery .thumb').count()).toBe(1);
    vi.restoreAllMocks();
    await page.getByRole('button', { name: 'Continue' }).click();
    await expect.poll(() => cells().count()).toBe(4);
    await ended();
    const job = await visitor.newest();
    expect(job).toMatchObject({ status: 'done', options: { seed: 5 } });
    const bytes = async (url: string) => (await fetch(visitor.server.url + url)).bytes();
    expect(await bytes(job.images[0]!.url)).toEqual(await bytes(kept!));
    // The images of the cancelled job are those of the new one.
    await expect.poll(() => page.locator('.gallery .thumb').count()).toBe(4);
    expect(await page.getByRole('button', { name: 'Continue' }).count()).toBe(0);
  });

  it('ends a grid early with its finished images', async () => {
    hold();
    page = await visitor.visit({ settings: { ...GRID, gridX: `steps=1,${HELD}` } });
    await generate();
    await page.getByText('Image 2 of 4').waitFor();
    await page.getByRole('button', { name: 'Finish now' }).click();
    await page.getByText('3 of 4 images are missing.').waitFor();
    expect(await visitor.newest()).toMatchObject({ status: 'done', images: [{ cell: 0 }] });
  });

  it('opens an image of a grid with its own settings, which restore it, and goes back with the keyboard', async () => {
    page = await visitor.visit({ settings: { ...GRID, gridX: 'steps=1,2,3' } });
    await generate();
    await ended();
    const focused = () => page.locator('button.cell:focus').getAttribute('aria-label');
    await cells().first().focus();
    for (const [key, label] of [
      ['ArrowRight', 'Open steps: 2, red'],
      ['ArrowRight', 'Open steps: 3, red'],
      ['ArrowDown', 'Open steps: 3, green'],
    ] as const) {
      await page.keyboard.press(key);
      await expect.poll(focused).toBe(label);
    }
    await page.keyboard.press('Enter');
    await page.getByText('steps: 3 · green').waitFor();
    await page.locator('.facts', { hasText: 'a green apple' }).waitFor();
    expect(await page.evaluate(() => document.activeElement?.textContent)).toContain('Whole grid');
    await page.keyboard.press('Enter');
    await page.locator('button.cell:focus').waitFor();
    expect(await page.locator('button.cell:focus').getAttribute('aria-label')).toBe('Open steps: 3, green');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Use all settings' }).click();
    expect(await page.getByLabel('Prompt', { exact: true }).inputValue()).toBe('a green apple');
    await page.getByRole('button', { name: 'Generate', exact: true }).click();
    await expect.poll(async () => (await visitor.newest()).status).toBe('done');
    expect(await visitor.newest()).toMatchObject({
      type: 'text-to-image',
      options: { prompt: 'a green apple', steps: 3, seed: 5 },
    });
  });

  it('downloads the sheets', async () => {
    page = await visitor.visit({ settings: { ...GRID, gridZ: 'cfg=1,3' } });
    await generate();
    await ended();
    const size = async (name: string) => {
      const [file] = await Promise.all([page.waitForEvent('download'), page.getByText(name).click()]);
      const { width, height, format } = await sharp(await file.path()).metadata();
      return { name: file.suggestedFilename(), width, height, format };
    };
    const all = await size('Download all sheets');
    await page.getByRole('button', { name: 'cfg: 3', exact: true }).click();
    const one = await size('Download this sheet');
    expect([all.name, all.format, one.name]).toEqual([
      'safelight-grid-5.png',
      'png',
      'safelight-grid-5-2.png',
    ]);
    expect([all.width, all.height]).toEqual([one.width, 2 * one.height! + 4]);
  });

  it('is accessible, and keeps headers visible and the page narrow on a phone, in both themes', async () => {
    page = await visitor.visit({
      settings: { ...GRID, gridX: 'steps=1-6', gridZ: '' },
      viewport: { width: 320, height: 700 },
      reducedMotion: 'reduce',
    });
    await page.locator('summary', { hasText: 'X/Y/Z grid' }).click();
    await generate();
    await ended();
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await page.evaluate(await readFile(AXE, 'utf8'));
      const violations = await page.evaluate(async () => {
        const { axe } = window as unknown as {
          axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
        };
        return (await axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
      });
      expect(violations).toEqual([]);
    }
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
    await page.locator('.grid-scroll').evaluate((element) => element.scrollTo(400, 0));
    const [row, region] = await Promise.all([
      page.locator('.grid-table tbody th').first().boundingBox(),
      page.locator('.grid-scroll').boundingBox(),
    ]);
    expect(Math.abs(row!.x - region!.x)).toBeLessThan(3);
    expect(visitor.errors).toEqual([]);
  });
});
