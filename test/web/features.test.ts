/** Jobs and images on the web page, in a real browser against a real server with the starter model. */
import { readFile } from 'node:fs/promises';
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { starterModel } from '../../lib/checkpoint/open.js';
import { readTexts } from '../../web/src/logic/png-text.js';
import { browserPath, finished, Visitor, withoutBrowser } from './browser.js';
import { crowd, fakeJob } from './crowd.js';
import { unzipped } from './unzip.js';

interface Job {
  readonly id: string;
  readonly type: string;
  readonly status: string;
  readonly options: Record<string, unknown>;
  readonly images: { readonly width: number; readonly height: number; readonly seed: number }[];
}

describe.skipIf(browserPath === undefined)(`the web page${withoutBrowser}`, () => {
  let visitor: Visitor;
  let page: Page;
  beforeAll(async () => {
    visitor = await Visitor.start([`starter=${starterModel}`]);
  });
  beforeEach(() => visitor.forgetAll());
  afterEach(() => page?.context().close());
  afterAll(() => visitor?.end());

  const ask = async <T>(path: string, init?: RequestInit): Promise<T> =>
    (await (await fetch(visitor.server.url + path, init)).json()) as T;
  /** Creates a job as another API client would. */
  const another = (options: object = {}) =>
    ask<Job>('/v1/jobs', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        type: 'text-to-image',
        prompt: 'another',
        steps: 150,
        count: 8,
        batch: 1,
        ...options,
      }),
    });
  const statusOf = async (id: string) => (await ask<Job>(`/v1/jobs/${id}`)).status;
  const prompt = () => page.getByLabel('Prompt', { exact: true });
  const button = (name: string) => page.getByRole('button', { name, exact: true });
  const fold = (name: string) => page.locator('.fold summary').filter({ hasText: name }).click();
  const make = async (text: string) => {
    const count = await page.locator('.gallery .thumb').count();
    await prompt().fill(text);
    await page.keyboard.press('Control+Enter');
    await page.locator('.gallery .thumb').nth(count).waitFor();
  };

  describe('Esc, Stop and Clear', () => {
    it('leave jobs of other clients unchanged, whatever is shown', async () => {
      const { id } = await another();
      page = await visitor.visit({ settings: { prompt: 'mine' } });
      await page.getByText(/Developing \d+/).waitFor(); // the running job is on the stage
      await page.locator('body').press('Escape');
      await prompt().press('Escape');
      expect(await button('Stop').isDisabled()).toBe(true);
      await page.keyboard.press('Control+e');
      await page.locator('.queue-name').filter({ hasText: 'mine' }).click();
      await page.locator('.stage').getByText('Waiting').waitFor();
      await page.keyboard.press('Escape');
      await page.getByText('Stopped before it was done').waitFor();
      await page.waitForTimeout(300);
      expect(await statusOf(id)).toBe('running');
      await page.getByRole('button', { name: 'Cancel another’s job: another' }).click();
      await page.locator('.queue').waitFor({ state: 'detached' });
      expect(await statusOf(id)).toBe('cancelled');
    });

    it('stop a job of this page even after a reload', async () => {
      page = await visitor.visit({ settings: { prompt: 'mine', steps: 150, count: 8, batch: 1 } });
      await page.keyboard.press('Control+Enter');
      await page.getByText(/Developing \d+/).waitFor();
      await page.reload();
      await page.getByText(/Developing \d+/).waitFor();
      await page.keyboard.press('Escape');
      await page.getByText('Stopped before it was done').waitFor();
    });

    it('belong to one tab: neither a second one nor a duplicate ends its jobs', async () => {
      page = await visitor.visit({ settings: { prompt: 'mine', steps: 150, count: 8, batch: 1 } });
      await page.keyboard.press('Control+Enter');
      await page.getByText(/Developing \d+/).waitFor();
      const { id } = await visitor.newest();
      const second = async () => {
        const opened = await page.context().newPage();
        await opened.goto(visitor.server.url);
        return opened;
      };
      const duplicate = async () => {
        const opened = page.waitForEvent('popup');
        await page.evaluate(() => {
          window.open(location.href); // copies sessionStorage
        });
        return opened;
      };
      for (const open of [second, duplicate]) {
        const other = await open();
        await other.getByText(/Developing \d+/).waitFor();
        await other.waitForFunction(
          () => document.querySelector<HTMLButtonElement>('.stop')?.disabled === true,
        );
        await other.bringToFront();
        await other.keyboard.press('Escape');
        await other.waitForTimeout(200);
        expect(await statusOf(id)).toBe('running');
        await other.close();
      }
      await page.bringToFront();
      await page.keyboard.press('Escape');
      await page.getByText('Stopped before it was done').waitFor();
    });

    it('stop a job whose request is still on its way to the server', async () => {
      page = await visitor.visit({ settings: { prompt: 'mine', steps: 150 } });
      await page.route('**/v1/jobs', async (route) => {
        await new Promise((done) => setTimeout(done, 300));
        await route.continue();
      });
      await page.keyboard.press('Control+Enter');
      await page.waitForTimeout(50);
      await page.keyboard.press('Escape');
      await page.getByText('Stopped before it was done').waitFor();
      expect((await visitor.newest()).status).toBe('cancelled');
    });

    it('clear only jobs that this page has queued', async () => {
      const running = await another();
      const waiting = await another({ prompt: 'waiting' });
      page = await visitor.visit();
      for (const text of ['one', 'two']) {
        await prompt().fill(text);
        await page.keyboard.press('Control+e');
        await page.locator('.queue-name').filter({ hasText: text }).waitFor();
      }
      await button('Clear mine').click();
      await page.locator('.queue-name').filter({ hasText: 'one' }).waitFor({ state: 'detached' });
      expect([await statusOf(running.id), await statusOf(waiting.id)]).toEqual(['running', 'queued']);
    });
  });

  describe('the form', () => {
    it('resets to the defaults, keeps the prompt, and can undo the reset', async () => {
      page = await visitor.visit({
        settings: { prompt: 'cat', negative: 'dog', seed: 5, count: 4, hires: true },
      });
      const kept = () => page.evaluate(() => JSON.parse(localStorage.getItem('safelight.settings') ?? '{}'));
      await button("Back to the model's defaults").click();
      expect(await kept()).toMatchObject({ prompt: 'cat', negative: '', seed: null, count: 1, hires: false });
      await button('Undo').click();
      expect(await kept()).toMatchObject({ prompt: 'cat', negative: 'dog', seed: 5, count: 4, hires: true });
    });

    it('accepts seeds of 16 digits, and -1 for a random one', async () => {
      page = await visitor.visit({ settings: { seed: null } });
      await fold('Size and number');
      const seed = page.getByLabel('Seed', { exact: true });
      await seed.fill('4503599627370495');
      await seed.press('Enter');
      expect(await seed.inputValue()).toBe('4503599627370495');
      await seed.fill('-1');
      await seed.press('Enter');
      expect(await seed.inputValue()).toBe('');
    });

    it('requests batches, variations, a seed resize and a second pass with its own prompts', async () => {
      page = await visitor.visit({ settings: { prompt: 'cat', steps: 2 } });
      for (const name of ['Size and number', 'Variation', 'Hires fix']) await fold(name);
      const fill = async (label: string, value: string) => {
        await page.getByLabel(label, { exact: true }).fill(value);
        await page.keyboard.press('Tab');
      };
      for (const [label, value] of [
        ...[
          ['Batch count', '2'],
          ['Batch size', '2'],
          ['Variation seed', '11'],
          ['Variation strength', '0.5'],
        ],
        ...[
          ['Resize seed from width', '64'],
          ['Resize seed from height', '96'],
          ['Times larger', '1.5'],
        ],
      ] as const)
        await fill(label!, value!);
      const upscalers = page.getByLabel('Enlarged by');
      const { hiresUpscalers } = await ask<{ hiresUpscalers: { name: string; label: string }[] }>(
        '/v1/about',
      );
      expect(await upscalers.locator('option').allTextContents()).toEqual(
        hiresUpscalers.map(({ label }) => label),
      );
      await upscalers.selectOption('nearest');
      await page.getByLabel('Its prompt').fill('a larger cat');
      await page.keyboard.press('Control+Enter');
      await page.getByText('4 pictures', { exact: false }).first().waitFor();
      await finished(page);
      const job = (await visitor.newest()) as unknown as Job;
      expect(job.options).toMatchObject({
        ...{ prompt: 'cat', count: 4, batch: 2, subseed: 11, subseedStrength: 0.5 },
        ...{ seedResizeFrom: { width: 64, height: 96 } },
        hires: { scale: 1.5, upscaler: 'nearest', prompt: 'a larger cat' },
      });
      await page.locator('.gallery .thumb').nth(3).waitFor();
    });

    it('stores styles on the server and applies them to prompts', async () => {
      page = await visitor.visit({ settings: { prompt: '{prompt}, in ink', negative: 'colour', steps: 1 } });
      await fold('Styles');
      await button('Save the prompt as a style').click();
      await page.getByLabel('Name').fill('ink/1');
      await button('Save').click();
      await button('ink/1').click();
      await prompt().fill('a cat');
      await page.keyboard.press('Control+Enter');
      await finished(page);
      expect((await visitor.newest()).options).toMatchObject({
        prompt: 'a cat, in ink',
        negative: 'colour, colour',
      });
      await button('Write into the prompt').click();
      expect(await prompt().inputValue()).toBe('a cat, in ink');
      expect(await button('ink/1').getAttribute('aria-pressed')).toBe('false');
      await button('ink/1').click();
      await button('Edit').click();
      await page.getByLabel('Name').fill('pen');
      await page.getByRole('dialog').getByLabel('Prompt', { exact: true }).fill('pen');
      await button('Save').click();
      expect(await button('pen').getAttribute('aria-pressed')).toBe('true');
      expect(await ask('/v1/styles')).toEqual({
        styles: [{ name: 'pen', prompt: 'pen', negative: 'colour' }],
      });
      await page.reload();
      expect(await button('pen').getAttribute('aria-pressed')).toBe('true');
      await button('Edit').click();
      await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
      await button('Really?').click();
      await page.getByText('None is saved yet').waitFor();
      expect(await ask('/v1/styles')).toEqual({ styles: [] });
    });
  });

  describe('finished images', () => {
    it('are upscaled with their own prompt and settings', async () => {
      page = await visitor.visit({ settings: { prompt: 'cat', steps: 3, seed: 7, width: 128, height: 96 } });
      await make('a cat');
      await prompt().fill('something else');
      await button('Enlarge').click();
      const dialog = page.getByRole('dialog', { name: 'Enlarge' });
      await dialog.getByLabel('Times larger').fill('1.5');
      await dialog.getByLabel('Strength').fill('0.5');
      await dialog.getByText('128 × 96 becomes 192 × 144').waitFor();
      await dialog.getByRole('button', { name: 'Enlarge' }).click();
      await page.locator('.gallery .thumb').nth(1).waitFor();
      expect(await visitor.newest()).toMatchObject({
        ...{ type: 'image-to-image', status: 'done', images: [{ width: 192, height: 144, seed: 7 }] },
        options: { prompt: 'a cat', steps: 3, seed: 7, strength: 0.5, width: 192, height: 144 },
      });
    });

    it('are found, selected, downloaded in one archive and deleted', async () => {
      page = await visitor.visit({ settings: { steps: 1, seed: 5, count: 2 } });
      await make('a red apple');
      await make('a green pear');
      await page.getByRole('searchbox').fill('APPLE green');
      await page.getByText('Nothing found').waitFor();
      await page.getByRole('searchbox').fill('apple');
      await page.getByText('2 found').waitFor();
      expect(await page.locator('.gallery .thumb').count()).toBe(2);
      await page.getByRole('searchbox').fill('seed:6');
      await page.getByText('2 found').waitFor();
      await page.getByRole('searchbox').press('Escape');
      await button('Select').click();
      await page.locator('.gallery .thumb').nth(0).click();
      await page
        .locator('.gallery .thumb')
        .nth(3)
        .click({ modifiers: ['Shift'] });
      await page.getByText('4 selected').waitFor();
      const archive = await saved(page, () => button('Download the selected').click());
      expect(archive.name).toMatch(/^safelight-\d{8}-\d{6}\.zip$/);
      const files = unzipped(archive.bytes);
      expect(files.map(({ name }) => name)).toEqual([
        ...['safelight-5.png', 'safelight-6.png', 'safelight-5-2.png', 'safelight-6-2.png'],
      ]);
      expect((await readTexts(new Blob([new Uint8Array(files[3]!.bytes)]))).parameters).toContain(
        'a red apple',
      );
      await page.locator('.gallery .thumb').nth(3).click(); // no longer selected
      await page.getByText('3 selected').waitFor();
      await button('Delete the selected').click();
      await page.getByText('deleted together, 4 in all').waitFor();
      await button('Keep').click();
      await page.locator('.gallery .thumb').nth(2).click();
      await button('Delete the selected').click();
      await button('Delete 2').click();
      await page.waitForFunction(() => document.querySelectorAll('.gallery .thumb').length === 2);
      expect(await visitor.newest()).toMatchObject({ options: { prompt: 'a red apple' } });
    });

    it('are saved under their seed, without their settings on request', async () => {
      page = await visitor.visit({ settings: { steps: 1, seed: 1234567890 } });
      await make('a secret');
      const link = page.getByRole('link', { name: 'Download' });
      const told = await saved(page, () => link.click());
      expect(told.name).toBe('safelight-1234567890.png');
      expect((await readTexts(new Blob([new Uint8Array(told.bytes)]))).parameters).toContain('a secret');
      await page.getByLabel('Downloads carry these settings').uncheck();
      const bare = await saved(page, () => link.click());
      expect(bare.name).toBe(told.name);
      expect(bare.bytes.includes('secret')).toBe(false);
      expect(bare.bytes.subarray(-8, -4).toString('latin1')).toBe('IEND');
    });

    it('are compared until another tab is selected or Esc is pressed, which then stops nothing', async () => {
      page = await visitor.visit({ settings: { steps: 1, count: 2 } });
      await make('rose');
      await button('Compare').click();
      await page.locator('.comparison').waitFor();
      await page.getByRole('navigation').getByRole('button', { name: 'Picture' }).click();
      await page.getByRole('navigation').getByRole('button', { name: 'Text' }).click();
      await button('Compare').click();
      await page.locator('.comparison').waitFor();
      const { id } = await another();
      await page.locator('.queue').waitFor();
      await page.keyboard.press('Escape');
      await page.locator('.comparison').waitFor({ state: 'detached' });
      expect(await statusOf(id)).toBe('running');
    });

    it('scroll into view on a phone when their thumbnail is tapped', async () => {
      page = await visitor.visit({
        ...{ viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true },
        settings: { steps: 1 },
      });
      await make('rose');
      await make('tulip');
      for (const mode of ['Text', 'Inside']) {
        await page.getByRole('navigation').getByRole('button', { name: mode }).tap();
        const thumb = page.locator('.gallery .thumb').last();
        await thumb.scrollIntoViewIfNeeded();
        await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
        await thumb.tap();
        await page.waitForFunction(() => {
          const frame = document.querySelector('.stage .frame, .looked-at')!.getBoundingClientRect();
          return frame.top >= 60 && frame.bottom <= innerHeight;
        });
      }
    });
  });

  describe('warnings', () => {
    const WARNING = { code: 'PROMPT_SYNTAX', message: '<lora:a:1> has no effect.' };
    const prepared = (jobs: Parameters<typeof crowd>[1]) => async (context: BrowserContext) =>
      crowd(context, jobs);

    it('are shown next to the image until they are dismissed, and remain in its details', async () => {
      const job = fakeJob({ options: { prompt: 'cat' }, warnings: [WARNING] });
      page = await visitor.visit({ prepare: prepared([job]) });
      const notice = page.locator('.stage').getByRole('status').filter({ hasText: WARNING.message });
      await notice.waitFor();
      await button('Dismiss the warning').click();
      await notice.waitFor({ state: 'detached' });
      await page.reload();
      await page.locator('.facts').getByText(WARNING.message).waitFor();
      expect(await notice.count()).toBe(0);
      await page.getByRole('button', { name: 'cat, with a warning' }).waitFor();
    });

    it('appear while a job runs, once each, and are empty for jobs of earlier versions', async () => {
      const { warnings: _, ...old } = fakeJob({ status: 'running', options: { prompt: 'cat' } });
      page = await visitor.visit({
        prepare: async (context) => {
          await crowd(context, [old]);
          const event = `event: warning\ndata: ${JSON.stringify(WARNING)}\n\n`;
          await context.route('**/v1/jobs/*/events', (route) =>
            route.fulfill({
              contentType: 'text/event-stream',
              body: `retry: 600000\n\n${event}${event}`,
            }),
          );
        },
      });
      await page.locator('.stage').getByText(WARNING.message).waitFor();
      expect(await page.locator('.warning').count()).toBe(1);
    });
  });

  it('closes its connections in the background and reopens them', async () => {
    page = await visitor.visit();
    await button('Generate').waitFor();
    const events = () => visitor.asked.filter((url) => url.endsWith('/v1/events')).length;
    const before = events();
    await page.clock.install();
    const turn = (state: string) =>
      page.evaluate((now) => {
        Object.defineProperty(document, 'visibilityState', { value: now, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      }, state);
    await turn('hidden');
    await page.clock.fastForward(1000);
    await turn('visible'); // a short visit to another tab changes nothing
    await page.clock.fastForward(10_000);
    expect(events()).toBe(before);
    await turn('hidden');
    await page.clock.fastForward(6000);
    const ended = await another({ steps: 1, count: 1 });
    while ((await statusOf(ended.id)) !== 'done') await page.waitForTimeout(20);
    expect(await page.locator('.gallery').count()).toBe(0);
    await turn('visible');
    await page.locator('.gallery .thumb').waitFor();
    expect(events()).toBe(before + 1);
  });

  it('causes no error', () => {
    expect(visitor.errors).toEqual([]);
  });
});

async function saved(page: Page, begin: () => Promise<void>): Promise<{ name: string; bytes: Buffer }> {
  const [file] = await Promise.all([page.waitForEvent('download'), begin()]);
  return { name: file.suggestedFilename(), bytes: await readFile(await file.path()) };
}
