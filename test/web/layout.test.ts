/**
 * The web page at all widths, full of long words, long prompts, queued jobs and images: nothing overflows,
 * and every control can be reached.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { starterModel } from '../../lib/checkpoint/open.js';
import { browserPath, Visitor, withoutBrowser } from './browser.js';
import { busyJobs, crowd, PROMPT, WORD } from './crowd.js';
import { CONTROLS, flaws } from './layout.js';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const WIDTHS = [
  ...([
    [320, 640],
    [390, 844],
    [768, 1024],
  ] as const),
  ...([
    [1024, 768],
    [1440, 900],
    [1920, 1080],
  ] as const),
] as const;
const FINE = { wider: 0, beyond: [], unreachable: [], cut: [] };

/** Opened and closed again, whatever else is on the page. */
const DIALOGS = ['help', 'enlarge', 'style', 'delete', 'arrival'] as const;

// The page may answer late while all other tests run: a test that reached a time limit is repeated on a reloaded page.
describe.skipIf(browserPath === undefined)(`the layout${withoutBrowser}`, { retry: 2 }, () => {
  let visitor: Visitor;
  let page: Page;
  const jobs = busyJobs();
  const many = jobs.find(({ images }) => images.length === 9)!;
  const failed = jobs.find(({ status }) => status === 'failed')!;
  const running = jobs.find(({ status }) => status === 'running')!;

  beforeAll(async () => {
    visitor = await Visitor.start([`starter=${starterModel}`]);
    page = await visitor.visit({
      reducedMotion: 'reduce',
      settings: {
        ...{ prompt: PROMPT, negative: `${WORD} ${PROMPT}`.slice(0, 2000), hiresPrompt: PROMPT, hires: true },
        ...{ seed: 2 ** 52, subseed: 2 ** 52, subseedStrength: 0.5, styles: ['style 3'], onlyMasked: true },
        ...{ width: 2048, height: 2048, count: 12, batch: 5, padding: 512 },
      },
      prepare: async (context) => {
        await crowd(context, jobs);
        const score = jobs.find(({ type }) => type === 'score')!.id;
        const kept = { [`${many.id}/0/writer`]: score };
        await context.addInitScript((scores) => {
          if (location.protocol !== 'about:') localStorage.setItem('safelight.scores', scores);
        }, JSON.stringify(kept));
      },
    });
    page.setDefaultTimeout(15_000);
    await look(many.id);
  });
  // Closes what a failed test left open, so that it does not fail the next ones.
  afterEach(async ({ task }) => {
    if (task.result?.state !== 'fail') return;
    await look(many.id);
    await tab('Text');
  });
  afterAll(() => visitor?.end());

  const tab = (name: string) => page.getByRole('navigation').getByRole('button', { name }).click();
  /** Shows a job on the stage. */
  const look = async (id: string) => {
    await page.evaluate((job) => {
      localStorage.setItem('safelight.stage', JSON.stringify({ job, index: 0 }));
    }, id);
    await page.reload();
    await page.locator('.gallery .thumb').nth(50).waitFor();
    await page.evaluate(await readFile(AXE, 'utf8'));
  };
  const openAll = () =>
    page.evaluate(() => {
      for (const fold of document.querySelectorAll('details')) fold.open = true;
    });
  const check = async (what: string) => {
    await page.waitForTimeout(30); // one frame, for observers of the size
    expect({ what, ...(await page.evaluate(flaws, CONTROLS)) }).toEqual({ what, ...FINE });
  };
  /** @param parts selectors to check; by default the whole page, or the open dialog */
  const accessible = async (what: string, ...parts: string[]) => {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await page.evaluate(settled);
      expect([what, colorScheme, await violations(page, parts)]).toEqual([what, colorScheme, []]);
    }
  };
  const open = async (dialog: (typeof DIALOGS)[number]) => {
    if (dialog === 'help') await page.getByRole('button', { name: 'Help and keyboard shortcuts' }).click();
    if (dialog === 'enlarge') await page.getByRole('button', { name: 'Enlarge', exact: true }).click();
    if (dialog === 'style') await page.getByRole('button', { name: 'Edit', exact: true }).click();
    if (dialog === 'delete') {
      await page.getByRole('button', { name: 'Select', exact: true }).click();
      await page.locator('.gallery .thumb').first().click();
      await page.getByRole('button', { name: 'Delete the selected' }).click();
    }
    if (dialog === 'arrival') await dropImage(page);
    await page.getByRole('dialog').waitFor();
  };

  it.each(WIDTHS)('fits %i × %i: all modes with every fold open', async (width, height) => {
    await page.setViewportSize({ width, height });
    for (const name of ['Text', 'Image', 'Inpaint', 'Sketch']) {
      await tab(name);
      await openAll();
      await check(name);
      if (width === 320) await accessible(`${name} at ${width}`, '.panel', '.center');
    }
    await tab('Text');
    await accessible(`Text at ${width}`);
  });

  it.each(WIDTHS)('fits %i × %i: all views of a trace', async (width, height) => {
    await page.setViewportSize({ width, height });
    await tab('Inspect');
    for (const name of ['Steps', 'Words', 'Tensors', 'Codes', 'Patches']) {
      await page.getByRole('tab', { name }).click();
      await page.locator('#inside-panel figure, #inside-panel .frame, .chooser').first().waitFor();
      await openAll();
      await check(name);
      if (width === 320 || width === 1440) await accessible(`${name} at ${width}`, '.panel', '.center');
    }
    await tab('Text');
  });

  it.each(WIDTHS)('fits %i × %i: dialogs, notes and the comparison', async (width, height) => {
    await page.setViewportSize({ width, height });
    await openAll();
    for (const dialog of DIALOGS) {
      await open(dialog);
      await check(dialog);
      if (width === 320 || width === 1440) await accessible(`${dialog} at ${width}`);
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
      if (dialog === 'delete') {
        await check('selection');
        if (width === 320 || width === 1440) await accessible(`selection at ${width}`, '.gallery');
        await page.keyboard.press('Escape');
      }
    }
    await page.getByRole('button', { name: 'Compare' }).click();
    await check('comparison');
    await accessible(`comparison at ${width}`, '.center');
    await page.keyboard.press('Escape');
    await page.locator('.comparison').waitFor({ state: 'detached' });
  });

  it.each([
    ['a running job with warnings', running.id],
    ['a failed job with a long message', failed.id],
  ])('fits all widths: %s', async (what, id) => {
    await look(id);
    for (const [width, height] of WIDTHS) {
      await page.setViewportSize({ width, height });
      await check(`${what} at ${width}`);
    }
    await accessible(what);
  });

  it.each(WIDTHS)('keeps Generate visible and prompts bounded at %i × %i', async (width, height) => {
    await page.setViewportSize({ width, height });
    await openAll();
    const boxes = page.locator('textarea');
    for (const box of await boxes.all()) {
      await box.scrollIntoViewIfNeeded();
      await box.click({ position: { x: 10, y: 10 } });
      const own = (await box.boundingBox())!;
      expect(own.height).toBeLessThanOrEqual(Math.max(112, height * 0.33));
      const generate = (await page.getByRole('button', { name: 'Generate' }).boundingBox())!;
      expect(generate.y).toBeGreaterThanOrEqual(0);
      expect(generate.y + generate.height).toBeLessThanOrEqual(height);
    }
    expect(await boxes.count()).toBe(4);
  });

  it('causes no error', () => {
    expect(visitor.errors).toEqual([]);
  });
});

/** Waits until no transition runs: when one ends, an element that inherits the color may start another. */
async function settled(): Promise<void> {
  for (;;) {
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const transitions = document.getAnimations().filter((one) => one instanceof CSSTransition);
    if (transitions.length === 0) return;
    await Promise.all(transitions.map(({ finished }) => finished.catch(() => undefined)));
  }
}

async function violations(page: Page, parts: readonly string[]): Promise<unknown[]> {
  return page.evaluate(
    async (include) => {
      interface Violation {
        readonly id: string;
        readonly nodes: { readonly html: string; readonly failureSummary: string }[];
      }
      interface Axe {
        run(at: Node | { include: string[] }): Promise<{ violations: Violation[] }>;
      }
      const { axe } = window as unknown as { axe: Axe };
      const whole = document.querySelector('dialog[open]') ?? document;
      const { violations: found } = await axe.run(include.length > 0 ? { include } : whole);
      return found.map(({ id, nodes }) => [id, nodes[0]?.html.slice(0, 200), nodes[0]?.failureSummary]);
    },
    [...parts],
  );
}

/** Drops a PNG whose prompt is one long word. */
async function dropImage(page: Page): Promise<void> {
  await page.evaluate(
    async (text) => {
      const canvas = new OffscreenCanvas(300, 200);
      canvas.getContext('2d')!.fillRect(0, 0, 9, 9);
      const png = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
      const body = new TextEncoder().encode(`tEXtparameters\0${text}\nSteps: 1, Seed: 1, Size: 8x8`);
      const chunk = new Uint8Array(body.length + 8);
      new DataView(chunk.buffer).setUint32(0, body.length - 4);
      chunk.set(body, 4);
      const data = new DataTransfer();
      const parts = [png.slice(0, 33), chunk, png.slice(33)]; // behind the header
      data.items.add(new File(parts, `${text}.png`, { type: 'image/png' }));
      window.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
    },
    WORD.replaceAll('ä', 'a'),
  );
}
