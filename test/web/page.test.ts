/** The web page in a real browser, against a real server with the starter model. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { starterModel } from '../../lib/checkpoint/open.js';
import { walk } from '../../scripts/files.mjs';
import { startServer } from '../support/server/test-server.js';
import { scratch } from '../support/vqgan/autoencoders.js';
import { writeWriter } from '../support/vqgan/checkpoint.js';
import { browserPath, builtPage, finished, Visitor, withoutBrowser } from './browser.js';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const folder = scratch();

describe.skipIf(browserPath === undefined)(`the web page${withoutBrowser}`, () => {
  let visitor: Visitor;
  let page: Page;
  beforeAll(async () => {
    const writer = writeWriter(join(folder, 'writer'), 32, { cond_stage_config: '__is_first_stage__' });
    visitor = await Visitor.start([`starter=${starterModel}`, `writer=${writer}`]);
  });
  beforeEach(() => visitor.forgetAll());
  afterEach(() => page?.context().close());
  afterAll(() => visitor?.end());

  const generate = () => page.keyboard.press('Control+Enter');

  it('generates an image of a prompt, with previews and without a blank frame', async () => {
    page = await visitor.visit({ settings: { steps: 12 } });
    await page.getByLabel('Prompt', { exact: true }).fill('a red apple');
    await page.getByText('3 / 30 tokens').waitFor();
    // From the first preview on, the frame has to contain an image at every moment.
    await page.evaluate(() => {
      const seen = { sources: [] as string[], blank: 0 };
      Object.assign(window, { seen });
      new MutationObserver(() => {
        const image = document.querySelector('.stage .frame > img');
        const source = image?.getAttribute('src') ?? '';
        if (image && seen.sources.at(-1) !== source) seen.sources.push(source);
        if (!image && seen.sources.length > 0) seen.blank++;
      }).observe(document.body, { subtree: true, childList: true, attributes: true });
    });
    await page.getByRole('button', { name: 'Generate' }).click();
    await page.getByRole('progressbar').waitFor();
    const source = await finished(page);
    const seen = await page.evaluate(
      () => (window as unknown as { seen: { sources: string[]; blank: number } }).seen,
    );
    expect(seen.blank).toBe(0);
    expect(seen.sources.filter((one) => one.startsWith('data:image/webp')).length).toBeGreaterThan(0);
    expect(seen.sources.at(-1)).toBe(source);
    const job = await visitor.newest();
    expect(job).toMatchObject({
      status: 'done',
      client: 'page',
      options: { prompt: 'a red apple', steps: 12, seed: 1 },
    });
    await page.getByRole('button', { name: 'Use this Seed' }).waitFor();
    expect(await page.locator('.gallery .thumb').count()).toBe(1);
  });

  it('stops a job', async () => {
    page = await visitor.visit({ settings: { prompt: 'castle', steps: 150 } });
    await page.getByRole('button', { name: 'Generate' }).click();
    await page.getByText(/Developing \d+ of 150/).waitFor();
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText('Stopped before it was done').waitFor();
    expect((await visitor.newest()).status).toBe('cancelled');
  });

  it('restores the running job and the form after a reload', async () => {
    page = await visitor.visit({ settings: { steps: 30 } });
    await page.getByLabel('Prompt', { exact: true }).fill('penguin');
    await generate();
    await page.getByText(/Developing \d+ of 30/).waitFor();
    await page.reload();
    await page.getByText(/Developing \d+ of 30/).waitFor();
    expect(await page.getByLabel('Prompt', { exact: true }).inputValue()).toBe('penguin');
    const source = await finished(page);
    expect(source).toContain((await visitor.newest()).id);
    expect(await page.locator('.gallery .thumb').count()).toBe(1);
  });

  it('inpaints what the mask covers and keeps the rest', async () => {
    page = await visitor.visit({ settings: { mode: 'inpaint', prompt: 'frog', maskBlur: 0, strength: 1 } });
    const green = await sharp({ create: { width: 128, height: 128, channels: 3, background: '#20a060' } })
      .png()
      .toBuffer();
    await page
      .locator('.source-file')
      .setInputFiles({ name: 'green.png', mimeType: 'image/png', buffer: green });
    const canvas = page.getByRole('application');
    const box = (await canvas.boundingBox())!;
    const at = (x: number, y: number) => [box.x + box.width * x, box.y + box.height * y] as const;
    await page.mouse.move(...at(0.1, 0.5));
    await page.mouse.down();
    await page.mouse.move(...at(0.1, 0.9), { steps: 4 });
    await page.mouse.up();
    await page.getByRole('button', { name: 'Undo' }).click();
    await page.mouse.move(...at(0.6, 0.2));
    await page.mouse.down();
    await page.mouse.move(...at(0.6, 0.8), { steps: 6 });
    await page.mouse.up();
    await page.waitForFunction(keptMask);
    await page.reload(); // image and mask are still there
    await page.getByRole('application').waitFor();
    await page.getByRole('button', { name: 'Generate' }).click();
    const made = await sharp(
      Buffer.from(await (await fetch(visitor.server.url + (await finished(page)))).arrayBuffer()),
    )
      .raw()
      .toBuffer();
    const pixel = (x: number, y: number): number[] => [
      ...made.subarray((y * 128 + x) * 3, (y * 128 + x) * 3 + 3),
    ];
    expect(pixel(12, 90)).toEqual([0x20, 0xa0, 0x60]); // the undone stroke
    expect(pixel(120, 64)).toEqual([0x20, 0xa0, 0x60]);
    expect(pixel(77, 64)).not.toEqual([0x20, 0xa0, 0x60]);
  });

  it('generates an image of a sketch that is drawn by keyboard', async () => {
    page = await visitor.visit({ settings: { mode: 'sketch' } });
    await page.getByRole('button', { name: 'Make a picture' }).click();
    await page.getByText('Draw something first').waitFor();
    await page.getByRole('application').focus();
    for (const key of ['Enter', 'ArrowRight', 'ArrowRight', 'ArrowDown', 'Enter'])
      await page.keyboard.press(key);
    await page.getByRole('button', { name: 'Make a picture' }).click();
    await finished(page);
    expect(await visitor.newest()).toMatchObject({ type: 'sketch', model: 'writer', status: 'done' });
  });

  it('shows a trace: steps, words, tensors, code indices', async () => {
    page = await visitor.visit({ settings: { prompt: 'red apple' } });
    await page.getByRole('button', { name: 'Generate' }).click();
    await finished(page);
    await page.getByRole('button', { name: 'Look inside' }).click();
    await page.locator('.ask').getByRole('button', { name: 'Look inside' }).click();
    await page.getByLabel('What the model sees at step 4').waitFor();
    await page.getByLabel('Step', { exact: true }).focus();
    await page.keyboard.press('Home');
    expect(await painted(page, 'Channel 1 of the latent at step 1')).toBeGreaterThan(20);
    await page.getByRole('tab', { name: 'Words' }).click();
    await page.getByRole('button', { name: 'apple', exact: true }).click();
    expect(await painted(page, 'Where “apple” went')).toBeGreaterThan(20);
    await page.getByRole('tab', { name: 'Tensors' }).click();
    await page.getByLabel('Find a tensor by its name').fill('mid_block resnets.0');
    await page.getByRole('checkbox').first().check();
    await page.getByRole('button', { name: 'Measure 1' }).click();
    await page.getByRole('article').waitFor();
    expect(await page.getByRole('article').textContent()).toMatch(/mid_block.*min-?\d.*std\d/s);
    await page.getByRole('tab', { name: 'Codes' }).click();
    await page.getByRole('button', { name: 'Encode it' }).click();
    expect(await painted(page, 'rows of')).toBeGreaterThan(0);
    expect(await page.locator('.gallery .thumb').count()).toBe(1); // traces are not listed as images
  });

  it('restores the settings of a dropped image, and uses it as the initial image only on request', async () => {
    page = await visitor.visit({ settings: { prompt: 'teapot', seed: 42, cfg: 3.5 } });
    await generate();
    const source = await finished(page);
    const bytes = Buffer.from(await (await fetch(visitor.server.url + source)).arrayBuffer()).toString(
      'base64',
    );
    await page.getByLabel('Prompt', { exact: true }).fill('something else');
    await page.evaluate(() => localStorage.removeItem('safelight.settings'));
    const drop = () =>
      page.evaluate((base64) => {
        const data = new DataTransfer();
        const png = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
        data.items.add(new File([png], 'teapot.png', { type: 'image/png' }));
        window.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
      }, bytes);
    await drop();
    await page.getByRole('button', { name: 'Restore its settings' }).click();
    await expectValue(page, 'Prompt', 'teapot');
    const kept = await page.evaluate(() => JSON.parse(localStorage.getItem('safelight.settings') ?? '{}'));
    expect(kept).toMatchObject({ prompt: 'teapot', seed: 42, cfg: 3.5, steps: 4, mode: 'text' });
    await drop();
    await page.getByRole('button', { name: 'Use it as input' }).click();
    await page.getByAltText('The one to begin from').waitFor();
  });

  it('shows a queue that can be reordered, reduced and cleared', async () => {
    page = await visitor.visit({ settings: { steps: 150, seed: null } });
    for (const prompt of ['first', 'second', 'third', 'fourth']) {
      await page.getByLabel('Prompt', { exact: true }).fill(prompt);
      await page.keyboard.press('Control+e');
      await page.locator('.queue').getByText(prompt).waitFor();
    }
    const names = async () =>
      (await page.locator('.queue-name').allTextContents()).map(
        (text) => /^(first|second|third|fourth)/.exec(text)?.[0],
      );
    expect(await names()).toEqual(['first', 'second', 'third', 'fourth']);
    await page.getByRole('button', { name: 'Earlier: fourth' }).click();
    await page.locator('.queue li:nth-child(3)').getByText('fourth').waitFor();
    await page.getByRole('button', { name: 'Cancel: second' }).click();
    await page.locator('.queue').getByText('second').waitFor({ state: 'detached' });
    expect(await names()).toEqual(['first', 'fourth', 'third']);
    await page.getByRole('button', { name: 'Clear' }).click();
    await page.locator('.queue').getByText('third').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Cancel: first' }).click();
    await page.locator('.queue').waitFor({ state: 'detached' });
  });

  it('works by keyboard alone', async () => {
    page = await visitor.visit();
    for (let i = 0; i < 20; i++) {
      await page.keyboard.press('Tab');
      if (await page.evaluate(() => document.activeElement?.tagName === 'TEXTAREA')) break;
    }
    await page.keyboard.type('robot');
    await page.keyboard.press('Control+ArrowUp');
    await page.keyboard.press('Control+ArrowUp');
    await expectValue(page, 'Prompt', '(robot:1.2)');
    await generate();
    const first = await finished(page);
    await page.keyboard.press('Control+ArrowDown');
    await page.keyboard.press('Control+ArrowDown');
    await expectValue(page, 'Prompt', 'robot');
    await generate();
    await page.waitForFunction((old) => {
      const now = document.querySelector('.stage .frame > img')?.getAttribute('src');
      return now?.startsWith('/v1/jobs/') && now !== old;
    }, first);
    await page.keyboard.press('Tab'); // out of the prompt, where arrow keys move the caret
    await page.keyboard.press('ArrowRight');
    await page.locator(`.stage .frame > img[src="${first}"]`).waitFor();
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keys' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.evaluate(() => localStorage.clear());
    await page.reload();
    await page.getByLabel('Prompt', { exact: true }).focus();
    await page.keyboard.type('cloud');
    await page.getByText('Sampling').click();
    await page.getByLabel('Steps', { exact: true }).fill('150');
    await generate();
    await page.getByText(/Developing/).waitFor();
    await page.keyboard.press('Escape');
    await page.getByText('Stopped before it was done').waitFor();
  });

  it('compares two images, and deletes one', async () => {
    page = await visitor.visit({ settings: { prompt: 'rose', count: 2, steps: 2 } });
    await generate();
    await finished(page);
    await page.getByRole('button', { name: 'Compare' }).click();
    const share = page.getByLabel('Share of the first picture');
    await share.focus();
    await page.keyboard.press('End');
    expect(
      await page.locator('.comparison .over').evaluate((image) => getComputedStyle(image).clipPath),
    ).toMatch(/inset\(0px 0/);
    await page.getByRole('button', { name: 'End the comparison' }).click();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('button', { name: 'All 2, really?' }).click();
    await page.locator('.gallery').waitFor({ state: 'detached' });
    expect(await visitor.newest()).toBeUndefined();
  });

  it('fits a phone: Generate in reach, nothing wider than the screen, sliders safe from scrolling', async () => {
    page = await visitor.visit({
      ...{ viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true },
      settings: { mode: 'picture', prompt: 'bear' },
    });
    const png = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#c0b090' } })
      .png()
      .toBuffer();
    await page.locator('.source-file').setInputFiles({ name: 'x.png', mimeType: 'image/png', buffer: png });
    const slider = page.getByLabel('Strength');
    await slider.scrollIntoViewIfNeeded();
    const box = (await slider.boundingBox())!;
    const session = await page.context().newCDPSession(page);
    const touch = (type: string, y?: number) =>
      session.send('Input.dispatchTouchEvent', {
        type: type as 'touchStart',
        touchPoints: y === undefined ? [] : [{ x: box.x + box.width * 0.2, y }],
      });
    await touch('touchStart', box.y + 10);
    for (let i = 1; i <= 12; i++) await touch('touchMove', box.y + 10 - i * 12);
    await touch('touchEnd');
    await page.waitForTimeout(100);
    expect(await slider.inputValue()).toBe('0.75');
    const button = (await page.getByRole('button', { name: 'Generate' }).boundingBox())!;
    expect(button.y + button.height).toBeLessThanOrEqual(780);
    for (const name of ['Text', 'Picture', 'Inpaint', 'Sketch', 'Inside']) {
      await page.getByRole('navigation').getByRole('button', { name }).tap();
      const { wide, inner } = await page.evaluate(() => ({
        wide: document.documentElement.scrollWidth,
        inner: window.innerWidth,
      }));
      expect(wide, name).toBeLessThanOrEqual(inner);
    }
    await page.getByRole('navigation').getByRole('button', { name: 'Picture' }).tap();
    await page.getByRole('button', { name: 'Generate' }).tap();
    await finished(page);
  });

  it.each(['light', 'dark'] as const)('has no serious axe-core finding, %s', async (colorScheme) => {
    page = await visitor.visit({ colorScheme, settings: { prompt: 'sun', mode: 'text' } });
    await generate();
    await finished(page);
    for (const fold of await page.locator('.fold summary').all()) await fold.click();
    await page.evaluate(await readFile(AXE, 'utf8'));
    for (const name of ['Text', 'Picture', 'Inpaint', 'Sketch', 'Inside']) {
      await page.getByRole('navigation').getByRole('button', { name }).click();
      const found = await page.evaluate(async () => {
        const { axe } = window as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } };
        type Violation = { id: string; impact: string; nodes: { html: string }[] };
        return (await axe.run()).violations.map(({ id, impact, nodes }) => ({
          id,
          impact,
          at: nodes[0]?.html,
        }));
      });
      expect(
        found.filter(({ impact }) => impact === 'serious' || impact === 'critical'),
        name,
      ).toEqual([]);
    }
  });

  it('requests the key of a server that has one, and stays logged in', async () => {
    const locked = await startServer({ 'api-key': 'open sesame' });
    try {
      page = await visitor.visit({}, locked.url);
      await page.getByLabel('API key').fill('wrong');
      await page.getByRole('button', { name: 'Log in' }).click();
      await page.getByText('That is not the key').waitFor();
      await page.getByLabel('API key').fill('open sesame');
      await page.getByRole('button', { name: 'Log in' }).click();
      await page.getByText('0 / 30 tokens').waitFor();
      await page.reload();
      await page.getByText('0 / 30 tokens').waitFor();
      await page.getByRole('button', { name: 'Log out' }).click();
      await page.getByLabel('API key').waitFor();
    } finally {
      await page.context().close();
      await locked.end();
    }
    const expected = /status of (401|400)/; // requested before the key was entered
    visitor.errors.splice(0, visitor.errors.length, ...visitor.errors.filter((text) => !expected.test(text)));
  });

  it('requests nothing from other hosts and causes no error', () => {
    expect(visitor.asked.length).toBeGreaterThan(10);
    const own = /^(?:http:\/\/127\.0\.0\.1:\d+\/|data:|blob:)/;
    expect(visitor.asked.filter((address) => !own.test(address))).toEqual([]);
    expect(visitor.errors).toEqual([]);
  });

  it('is smaller than 150 KB', async () => {
    const files = walk(builtPage, (file) => !/\.(?:br|gz)$/.test(file));
    let bytes = 0;
    for (const file of files) bytes += gzipSync(await readFile(file)).length;
    expect(bytes).toBeGreaterThan(10_000);
    expect(bytes).toBeLessThan(150_000);
  });
});

/** Returns true once the browser has stored the mask, which happens asynchronously. */
function keptMask(): Promise<boolean> {
  return new Promise((resolve) => {
    const opening = indexedDB.open('safelight');
    opening.onsuccess = () => {
      const asked = opening.result.transaction('drafts').objectStore('drafts').get('mask');
      asked.onsuccess = () => {
        opening.result.close();
        resolve(asked.result !== undefined);
      };
    };
  });
}

/** Returns the number of different colors on a canvas, once it shows any. */
async function painted(page: Page, label: string): Promise<number> {
  const canvas = page.getByLabel(label).first();
  await canvas.waitFor();
  const count = () =>
    canvas.evaluate((element) => {
      const { width, height } = element as HTMLCanvasElement;
      const { data } = (element as HTMLCanvasElement).getContext('2d')!.getImageData(0, 0, width, height);
      const colours = new Set<number>();
      for (let i = 0; i < data.length; i += 4)
        colours.add((data[i]! << 16) | (data[i + 1]! << 8) | data[i + 2]!);
      colours.delete(0);
      return colours.size;
    });
  for (let i = 0; i < 50 && (await count()) === 0; i++) await page.waitForTimeout(50);
  return count();
}

async function expectValue(page: Page, label: string, value: string): Promise<void> {
  const field = page.getByLabel(label, { exact: true });
  for (let i = 0; i < 50 && (await field.inputValue()) !== value; i++) await page.waitForTimeout(20);
  expect(await field.inputValue()).toBe(value);
}
