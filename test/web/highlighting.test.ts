/** Highlighting and explanation of prompts in a real browser. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { starterModel } from '../../lib/checkpoint/open.js';
import { browserPath, Visitor, withoutBrowser } from './browser.js';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const PROMPT = 'a ((red)) apple, [cat:dog:0.25] on a (wooden table:1.3) <lora:grain:0.8:0.5>, \\(x\\) AND (b';

describe.skipIf(browserPath === undefined)(`highlighted prompts${withoutBrowser}`, () => {
  let visitor: Visitor;
  let page: Page;
  beforeAll(async () => {
    visitor = await Visitor.start([`starter=${starterModel}`]);
  });
  afterEach(() => page?.context().close());
  afterAll(() => visitor?.end());

  const box = () => page.getByLabel('Prompt', { exact: true });
  const explanation = () => page.locator('.prompt').getByRole('status');
  /** Returns the marked parts with the classes of their kinds. */
  const marks = () =>
    page
      .locator('.prompt .mark')
      .evaluateAll((all) => all.map(({ className, textContent }) => [className.split(' ')[1], textContent]));
  const moveCaretTo = (part: string) =>
    box().evaluate((element, text) => {
      const area = element as HTMLTextAreaElement;
      area.focus();
      const at = area.value.indexOf(text);
      area.setSelectionRange(at, at);
    }, part);

  it('mark their syntax while they are typed, and native undo works', async () => {
    page = await visitor.visit();
    await box().pressSequentially('a (red:1.2)');
    expect(await marks()).toEqual([
      ['mark-emphasis', '('],
      ['mark-emphasized', 'red'],
      ['mark-weight', ':1.2'],
      ['mark-emphasis', ')'],
    ]);
    await page.keyboard.press('Control+z');
    await expect.poll(() => box().inputValue()).not.toBe('a (red:1.2)');
    const before = await box().inputValue();
    await page.keyboard.press('Control+Shift+z');
    await expect.poll(() => box().inputValue()).not.toBe(before);
  });

  it('explain the part under the caret, which the keyboard moves', async () => {
    page = await visitor.visit({ settings: { prompt: PROMPT } });
    await moveCaretTo('cat');
    await expect.poll(() => explanation().textContent()).toBe('“cat” until 25% of the steps, then “dog”.');
    expect(await page.locator('.prompt .mark.active').allTextContents()).toEqual(['cat']);
    await moveCaretTo('d)) apple');
    await expect.poll(() => explanation().textContent()).toBe('Attention to “red” is multiplied by 1.21.');
    for (let i = 0; i < 6; i++) await page.keyboard.press('ArrowRight');
    await expect.poll(() => explanation().textContent()).toBe('');
    await moveCaretTo('cat');
    await expect.poll(() => explanation().textContent()).not.toBe('');
    await box().blur();
    await expect.poll(() => explanation().textContent()).toBe('');
  });

  it('explain the part under the pointer, and that of the caret after it leaves', async () => {
    page = await visitor.visit({ settings: { prompt: PROMPT } });
    await moveCaretTo('cat');
    const tag = (await page.locator('.prompt .mark-network').boundingBox())!;
    await page.mouse.move(tag.x + tag.width / 3, tag.y + tag.height / 2);
    await expect
      .poll(() => explanation().textContent())
      .toBe('Applies the LoRA “grain” with weight 0.5 to the U-Net and 0.8 to the text encoder.');
    await page.mouse.move(0, 0);
    await expect.poll(() => explanation().textContent()).toBe('“cat” until 25% of the steps, then “dog”.');
  });

  it('explain the part that is tapped', async () => {
    page = await visitor.visit({
      ...{
        settings: { prompt: PROMPT },
        hasTouch: true,
        isMobile: true,
        viewport: { width: 390, height: 844 },
      },
    });
    const word = page.locator('.prompt .mark-scheduled', { hasText: 'dog' });
    await box().scrollIntoViewIfNeeded();
    const { x, y, width, height } = (await word.boundingBox())!;
    await page.touchscreen.tap(x + width / 2, y + height / 2);
    await expect.poll(() => explanation().textContent()).toBe('“cat” until 25% of the steps, then “dog”.');
  });

  it('mark variants only if dynamic prompts are on, and AND only in the prompt', async () => {
    const settings = { prompt: '{a|b}', negative: '(a) AND b' };
    page = await visitor.visit({ settings });
    expect(await marks()).toEqual([]);
    await page.getByText('Negative prompt').first().click();
    await page.getByLabel('Negative prompt', { exact: true }).waitFor();
    expect(await page.locator('.settings .mark').allTextContents()).toEqual(['(', 'a', ')']);
    await page.context().close();
    page = await visitor.visit({ settings: { ...settings, further: { dynamicPrompts: true } } });
    expect((await marks()).map(([, text]) => text)).toEqual(['{', 'a', '|', 'b', '}']);
  });

  it.each([320, 390, 768, 1024, 1440, 1920])(
    'lie exactly behind the text at a width of %i',
    async (width) => {
      const prompt = `${`${PROMPT}\n`.repeat(8)}${'x'.repeat(300)}  ${'(a) '.repeat(40)}\n\n`;
      page = await visitor.visit({ settings: { prompt }, viewport: { width, height: 900 } });
      await box().waitFor();
      for (const top of [0, 55, 10_000]) {
        await box().evaluate((element, value) => {
          element.scrollTop = value;
        }, top);
        const area = await box().evaluate(metrics);
        // The layer follows on the next scroll event.
        await expect.poll(() => page.locator('.prompt .marks').evaluate(metrics)).toEqual(area);
        expect(area.scrollHeight).toBeGreaterThan(area.clientHeight);
      }
      expect(await page.evaluate(() => document.scrollingElement!.scrollWidth - innerWidth)).toBe(0);
    },
  );

  it('are accessible in both themes', async () => {
    page = await visitor.visit({ settings: { prompt: PROMPT }, reducedMotion: 'reduce' });
    await moveCaretTo('cat');
    await page.evaluate(await readFile(AXE, 'utf8'));
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await page.waitForTimeout(100);
      const found = await page.evaluate(async () => {
        const { axe } = window as unknown as {
          axe: { run(at: object): Promise<{ violations: { id: string }[] }> };
        };
        return (await axe.run({ include: ['.prompt'] })).violations.map(({ id }) => id);
      });
      expect([colorScheme, found]).toEqual([colorScheme, []]);
    }
    expect(await page.locator('.prompt .marks').getAttribute('aria-hidden')).toBe('true');
  });

  it('stay responsive with 100,000 characters, which are not highlighted', async () => {
    page = await visitor.visit({ settings: { prompt: '(a:1.2), '.repeat(11_111) } });
    await moveCaretTo('a:1.2');
    await expect.poll(() => explanation().textContent()).toContain('not highlighted');
    expect(await marks()).toEqual([]);
    const longest = await box().evaluate(edits);
    expect(longest).toBeLessThan(500);
  });

  it('stay responsive with thousands of marks', async () => {
    page = await visitor.visit({ settings: { prompt: '(a:1.2), '.repeat(2000) } });
    expect((await marks()).length).toBe(2000);
    expect(await box().evaluate(edits)).toBeLessThan(500);
  });

  it('cause no error', () => {
    // The server counts no tokens of a prompt above its limit.
    expect(visitor.errors.filter((error) => !error.includes('400 (Bad Request)'))).toEqual([]);
  });
});

/** Returns the sizes and scroll position that determine the place of text. */
function metrics(element: Element) {
  const { fontSize, lineHeight, fontFamily, letterSpacing } = getComputedStyle(element);
  const { clientWidth, clientHeight, scrollHeight, scrollTop } = element;
  const { left, top } = element.getBoundingClientRect();
  return {
    ...{ fontSize, lineHeight, fontFamily, letterSpacing },
    clientWidth,
    clientHeight,
    scrollHeight,
    scrollTop,
    left,
    top,
  };
}

/** Deletes five characters at the end and returns the longest time until the next frame, in milliseconds. */
async function edits(element: Element): Promise<number> {
  const area = element as HTMLTextAreaElement;
  let longest = 0;
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    area.value = area.value.slice(0, -1);
    area.dispatchEvent(new InputEvent('input', { bubbles: true }));
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    longest = Math.max(longest, performance.now() - start);
  }
  return longest;
}
