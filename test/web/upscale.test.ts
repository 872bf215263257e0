/** Upscaling on the web page, with a real server and tiny models. */
import { readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { starterModel } from '../../lib/checkpoint/open.js';
import { UpscalerModels } from '../support/server/upscaler-folder.js';
import { browserPath, finished, Visitor, withoutBrowser } from './browser.js';
import { CONTROLS, flaws } from './layout.js';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

describe.skipIf(browserPath === undefined)(`upscaling on the page${withoutBrowser}`, () => {
  const models = new UpscalerModels();
  let visitor: Visitor;
  let page: Page;
  beforeAll(async () => {
    models.put('upscalers/4x-Tiny.safetensors');
    models.put('upscalers/RealESRGAN_x2plus.safetensors', 'esrgan-x2');
    models.text('upscalers/broken.pth', 'no tensors');
    visitor = await Visitor.start([`starter=${starterModel}`], { models: models.path });
  });
  beforeEach(() => visitor.forgetAll());
  afterEach(() => page?.context().close());
  afterAll(async () => {
    await visitor?.end();
    for (const folder of models.folders) rmSync(folder, { recursive: true });
  });

  const small = { prompt: 'a red apple', steps: 1, seed: 5, width: 64, height: 64 };
  const button = (name: string) => page.getByRole('button', { name, exact: true });
  const dialog = () => page.getByRole('dialog', { name: 'Upscale' });
  const texts = (locator: ReturnType<Page['locator']>) => locator.locator('option').allTextContents();
  const generate = async (settings: object = {}) => {
    page = await visitor.visit({ settings: { ...small, ...settings }, reducedMotion: 'reduce' });
    await page.keyboard.press('Control+Enter');
    return finished(page);
  };

  it('upscales an image of the gallery with a model and puts the result into the gallery', async () => {
    await generate();
    await button('Upscale').click();
    expect(await texts(dialog().getByLabel('Model'))).toEqual(['4x-Tiny (4×)', 'R-ESRGAN 2x+ (2×)']);
    await dialog().getByText('64 × 64 becomes 256 × 256').waitFor();
    await dialog().getByLabel('Model').selectOption('RealESRGAN_x2plus');
    await dialog().getByText('64 × 64 becomes 128 × 128').waitFor();
    await dialog().getByLabel('Scale').fill('3');
    await dialog().getByText('64 × 64 becomes 192 × 192').waitFor();
    await dialog().getByRole('button', { name: 'Upscale' }).click();
    await page.locator('.gallery .thumb').nth(1).waitFor();
    expect(await visitor.newest()).toMatchObject({
      ...{ type: 'upscale', status: 'done', model: 'RealESRGAN_x2plus' },
      ...{ options: { scale: 3 }, images: [{ width: 192, height: 192 }] },
    });
    // The result is on the stage, under the prompt of the original, and can be upscaled again.
    await page.getByRole('img', { name: 'Image: a red apple' }).waitFor();
    expect(await page.locator('.stage .frame > img').getAttribute('src')).toContain(
      (await visitor.newest()).id,
    );
    await page.getByText('Generation settings').waitFor();
    await button('Upscale').waitFor();
    expect(await page.locator('.tools').getByRole('button', { name: 'Inspect' }).count()).toBe(0);
  });

  it('shows the progress by tiles, and cancels', async () => {
    const original = await generate({ width: 512, height: 512 });
    await button('Upscale').click();
    await dialog().getByLabel('Model').selectOption('RealESRGAN_x2plus');
    await dialog().getByLabel('Scale').fill('8');
    await dialog().getByRole('button', { name: 'Upscale' }).click();
    await page.getByText(/Upscaling tile \d+ of \d+/).waitFor();
    // The original is shown meanwhile.
    const shown = page.getByRole('img', { name: 'Preview: upscaled with RealESRGAN_x2plus' });
    expect(await shown.getAttribute('src')).toBe(original);
    await button('Cancel').click();
    await page.getByText('The job was cancelled').waitFor();
    expect(await visitor.newest()).toMatchObject({ type: 'upscale', status: 'cancelled' });
  });

  it('upscales the selected images', async () => {
    await generate({ count: 2 });
    await button('Select').click();
    await button('Select all').click();
    await button('Upscale the selected').click();
    await page.getByRole('dialog', { name: 'Upscale 2' }).getByRole('button', { name: 'Upscale' }).click();
    await page.locator('.gallery .thumb').nth(3).waitFor();
    expect(await visitor.newest()).toMatchObject({ type: 'upscale', status: 'done' });
  });

  it('offers the models for hires fix, and restores them from an image', async () => {
    page = await visitor.visit({ settings: { ...small, hires: true, hiresStrength: 0.1 } });
    await page.locator('.fold summary').filter({ hasText: 'Hires fix' }).click();
    const select = page.getByLabel('Upscaler', { exact: true });
    await expect.poll(() => texts(select)).toContain('R-ESRGAN 2x+');
    expect(await texts(select)).toEqual(expect.arrayContaining(['Latent', 'Lanczos', '4x-Tiny']));
    expect(await texts(select)).not.toContain('broken');
    await select.selectOption('RealESRGAN_x2plus');
    await page.keyboard.press('Control+Enter');
    await finished(page);
    expect(await visitor.newest()).toMatchObject({
      options: { hires: { upscaler: 'RealESRGAN_x2plus' } },
      images: [{ parameters: expect.stringContaining('Hires upscaler: R-ESRGAN 2x+') }],
    });
    await select.selectOption('lanczos');
    await button('Use this Hires upscaler').click();
    expect(await select.inputValue()).toBe('RealESRGAN_x2plus');
    await select.selectOption('lanczos');
    await button('Use all settings').click();
    expect(await select.inputValue()).toBe('RealESRGAN_x2plus');
  });

  it('offers a model that has been added since, and shows one that has been removed', async () => {
    page = await visitor.visit({ settings: { ...small, hires: true, hiresUpscaler: 'late' } });
    await page.locator('.fold summary').filter({ hasText: 'Hires fix' }).click();
    const select = page.getByLabel('Upscaler', { exact: true });
    await expect.poll(() => texts(select)).toContain('late (not available)');
    const late = models.put('upscalers/late.safetensors');
    for (let i = 0; i < 2; i++) await page.locator('.fold summary').filter({ hasText: 'Hires fix' }).click();
    await expect.poll(() => texts(page.getByLabel('Upscaler', { exact: true }))).toContain('late');
    rmSync(late);
  });

  it('hides the button without models, and says where they belong', async () => {
    page = await visitor.visit({
      settings: small,
      prepare: (context) =>
        context.route('**/v1/upscalers', (route) =>
          route.fulfill({ json: { configured: true, upscalers: [] } }),
        ),
    });
    await page.keyboard.press('Control+Enter');
    await finished(page);
    await button('Enlarge').click();
    await page.getByText('put upscaler models into the subfolder').waitFor();
    expect(await button('Upscale').count()).toBe(0);
  });

  it.each([
    [320, 700],
    [1280, 900],
  ])('fits %i × %i and is accessible', async (width, height) => {
    await generate();
    await page.setViewportSize({ width, height });
    await button('Upscale').click();
    await dialog().waitFor();
    expect(await page.evaluate(flaws, CONTROLS)).toMatchObject({
      wider: 0,
      beyond: [],
      unreachable: [],
      cut: [],
    });
    await page.evaluate(readFileSync(AXE, 'utf8'));
    const violations = await page.evaluate(async () => {
      const { axe } = window as unknown as {
        axe: { run(root: string): Promise<{ violations: { id: string }[] }> };
      };
      return (await axe.run('dialog[open]')).violations.map(({ id }) => id);
    });
    expect(violations).toEqual([]);
    expect(visitor.errors).toEqual([]);
  });
});
