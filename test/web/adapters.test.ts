/** The browser of LoRAs and embeddings on the web page, with a real server and LoRAs for the starter model. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { starterModel } from '../../lib/checkpoint/open.js';
import { AdapterFolder } from '../support/server/adapter-folder.js';
import { browserPath, finished, type Visit, Visitor, withoutBrowser } from './browser.js';
import { CONTROLS, flaws } from './layout.js';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

describe.skipIf(browserPath === undefined)(`the browser of adapters${withoutBrowser}`, () => {
  const folder = new AdapterFolder();
  let visitor: Visitor;
  let page: Page;

  beforeAll(async () => {
    folder.lora('loras/ink.safetensors', {
      ss_output_name: 'ink_v2',
      'modelspec.trigger_phrase': 'ink style, monochrome',
    });
    await folder.image('loras/ink.png', '#204060');
    folder.lora('loras/other.safetensors', {}, 2048);
    folder.json('loras/other.json', { 'preferred weight': 0.6 });
    folder.lora('loras/third.safetensors');
    folder.text('loras/broken.safetensors', 'x');
    folder.embedding('embeddings/calm.safetensors');
    visitor = await Visitor.start([`starter=${starterModel}`], { models: folder.path });
  });
  afterEach(() => page?.context().close());
  afterAll(async () => {
    await visitor?.end();
    rmSync(folder.path, { recursive: true });
  });

  const prompt = () => page.getByLabel('Prompt', { exact: true }).inputValue();
  const opener = () => page.getByRole('button', { name: /^LoRAs and embeddings/ });
  const card = (name: string) =>
    page.locator('.adapter', { has: page.locator('.adapter-name').getByText(name, { exact: true }) });
  const toggle = (name: string) => card(name).locator('.adapter-toggle').first();
  const open = async (visit: Visit = {}) => {
    page = await visitor.visit(visit);
    await opener().click();
    await card('ink').waitFor();
  };
  const focused = () => page.evaluate(() => document.activeElement?.textContent ?? '');

  it('adds a LoRA, changes its weight and generates, with the keyboard alone', async () => {
    page = await visitor.visit({ settings: { prompt: 'a red apple' } });
    await opener().focus();
    await page.keyboard.press('Enter');
    await card('ink').waitFor();
    await page.keyboard.type('ink');
    await card('other').waitFor({ state: 'detached' });
    for (let i = 0; i < 3; i++) await page.keyboard.press('Tab'); // refresh, kinds, first card
    await page.keyboard.press('Space');
    expect(await prompt()).toBe('a red apple <lora:ink:1>');
    expect(await toggle('ink').getAttribute('aria-pressed')).toBe('true');
    await page.keyboard.press('Tab');
    expect(
      await page.getByRole('slider', { name: 'Weight of ink' }).evaluate((e) => e.matches(':focus')),
    ).toBe(true);
    for (let i = 0; i < 3; i++) await page.keyboard.press('ArrowRight');
    expect(await prompt()).toBe('a red apple <lora:ink:1.15>');
    await page.keyboard.press('End');
    expect(await prompt()).toBe('a red apple <lora:ink:2>');
    await page.keyboard.press('Tab');
    await page.keyboard.press('ArrowDown');
    expect(await prompt()).toBe('a red apple <lora:ink:1.95>');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter'); // the first trigger word
    expect(await prompt()).toBe('a red apple <lora:ink:1.95>, ink style');
    await page.keyboard.press('Escape');
    await page.locator('dialog[open]').waitFor({ state: 'detached' });
    expect(await focused()).toContain('LoRAs and embeddings');
    await page.keyboard.press('Control+Enter');
    await finished(page);
    const job = await visitor.newest();
    expect(job).toMatchObject({
      status: 'done',
      options: { prompt: 'a red apple <lora:ink:1.95>, ink style' },
      images: [{ parameters: expect.stringMatching(/Lora hashes: "ink: [0-9a-f]{12}"/) }],
    });
  });

  it('shows the weights of tags that were typed, and removes them', async () => {
    await open({ settings: { prompt: '<lora:INK_V2:0.5:-0.25>, a cat <lora:gone:1>' } });
    await page.getByText('The server has no LoRA named “gone”').waitFor();
    const value = (name: string) => page.getByRole('slider', { name }).inputValue();
    expect(await value('Text encoder weight of ink')).toBe('0.5');
    expect(await value('U-Net weight of ink')).toBe('-0.25');
    await page.getByLabel('U-Net weight of ink as a number', { exact: true }).fill('3.5');
    await page.keyboard.press('Enter');
    expect(await prompt()).toBe('<lora:INK_V2:0.5:3.5>, a cat <lora:gone:1>');
    await toggle('ink').click();
    expect(await prompt()).toBe('a cat <lora:gone:1>');
    expect(await toggle('ink').getAttribute('aria-pressed')).toBe('false');
  });

  it('marks LoRAs for other models, which remain usable, and disables those that cannot be read', async () => {
    await open();
    await card('other').getByText('For SDXL').waitFor();
    expect(await card('ink').locator('.adapter-misfit').count()).toBe(0);
    await toggle('other').click();
    expect(await prompt()).toBe('<lora:other:0.6>'); // the preferred weight
    expect(await toggle('broken').isDisabled()).toBe(true);
    expect(await card('broken').locator('.problem').textContent()).toContain('broken.safetensors');
    const width = card('ink').locator('img');
    expect(await width.evaluate((image: HTMLImageElement) => image.naturalWidth)).toBe(256);
  });

  it('moves the focus between cards with the arrow keys', async () => {
    await open();
    await toggle('ink').focus();
    await page.keyboard.press('ArrowRight');
    expect(await focused()).toContain('other');
    await page.keyboard.press('End');
    expect(await focused()).toContain('third');
    await page.keyboard.press('ArrowLeft');
    expect(await focused()).toContain('other');
  });

  it('adds embeddings to the prompt or the negative prompt', async () => {
    await open({ settings: { prompt: 'a cat', negative: 'dogs' } });
    await page.getByRole('tab', { name: /LoRAs/ }).focus();
    await page.keyboard.press('ArrowRight');
    const button = (name: string) => card('calm').getByRole('button', { name, exact: true });
    await button('Negative prompt').click();
    await button('Prompt').click();
    expect(await button('Negative prompt').getAttribute('aria-pressed')).toBe('true');
    await page.keyboard.press('Escape');
    expect(await prompt()).toBe('a cat, calm');
    await page.locator('.fold summary').filter({ hasText: 'Negative prompt' }).click();
    expect(await page.getByLabel('Negative prompt', { exact: true }).inputValue()).toBe('dogs, calm');
  });

  it('finds new files after a refresh', async () => {
    await open();
    folder.lora('loras/newest.safetensors');
    await page.getByRole('button', { name: 'Refresh the lists' }).click();
    await card('newest').waitFor();
    await page.getByRole('searchbox', { name: /^Search LoRAs/ }).fill('nothing like this');
    await page.getByText('Nothing matches the search').waitFor();
    rmSync(folder.at('loras/newest.safetensors'));
  });

  it('is empty without files, and explains where they belong', async () => {
    page = await visitor.visit({
      prepare: (context) =>
        context.route('**/v1/adapters', (route) =>
          route.fulfill({ json: { configured: true, loras: [], embeddings: [] } }),
        ),
    });
    await opener().click();
    await page.getByText('No LoRAs yet').waitFor();
    expect(await page.locator('.adapters-empty').textContent()).toMatch(/loras\/.*NAME\.png/);
  });

  it('reports a server that does not respond', async () => {
    page = await visitor.visit({
      prepare: (context) => context.route('**/v1/adapters', (route) => route.abort()),
    });
    await opener().click();
    await page.locator('.adapters').getByRole('alert').getByText('does not respond').waitFor();
  });

  it.each([320, 768, 1280])(
    'fits into a window of %i pixels, with large targets and labels',
    async (width) => {
      await open({
        ...{ viewport: { width, height: 640 }, reducedMotion: 'reduce' },
        settings: { prompt: 'a cat <lora:ink:0.5:1>, monochrome' },
      });
      expect(await page.evaluate(flaws, CONTROLS)).toMatchObject({ wider: 0, beyond: [], unreachable: [] });
      const small = await page
        .locator('dialog[open] :is(button, input)')
        .evaluateAll((all) =>
          all
            .filter((one) => one.getBoundingClientRect().height < 42 && !one.closest('.number'))
            .map((one) => one.outerHTML.slice(0, 100)),
        );
      expect(small).toEqual([]);
      await page.evaluate(readFileSync(AXE, 'utf8'));
      const problems = await page.evaluate(async () => {
        const { axe } = window as unknown as {
          axe: { run(root: string): Promise<{ violations: { id: string }[] }> };
        };
        return (await axe.run('dialog[open]')).violations.map(({ id }) => id);
      });
      expect(problems).toEqual([]);
    },
  );

  it('restores tags under the names that the server has, and lists missing networks', async () => {
    const made = await fetch(`${visitor.server.url}/v1/jobs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ type: 'text-to-image', prompt: 'a pear <lora:third:0.5>', steps: 1 }),
    });
    const { id } = (await made.json()) as { id: string };
    await (await fetch(`${visitor.server.url}/v1/jobs/${id}/events`)).text();
    const { images } = await visitor.newest();
    const png = Buffer.from(await (await fetch(visitor.server.url + images[0]!.url)).arrayBuffer());
    const file = join(folder.path, 'made.png');
    writeFileSync(file, png);
    renameSync(folder.at('loras/third.safetensors'), folder.at('loras/renamed.safetensors'));
    page = await visitor.visit();
    const restore = () => page.locator('.restore input[type="file"]').setInputFiles(file);
    await restore();
    await page.getByText('Restored the settings of').waitFor();
    expect(await prompt()).toBe('a pear <lora:renamed:0.5>');
    rmSync(folder.at('loras/renamed.safetensors'));
    await page.reload();
    await restore();
    await page.getByText('except LoRA: third').waitFor();
    expect(await prompt()).toBe('a pear <lora:third:0.5>');
  });

  it('sends dynamic prompts with the next job', async () => {
    page = await visitor.visit({ settings: { prompt: '{a|b} pear', steps: 1 } });
    await page.locator('.fold summary').filter({ hasText: 'Dynamic prompts' }).click();
    await page.getByRole('switch', { name: 'Dynamic prompts' }).click();
    await page.getByLabel('Prompt', { exact: true }).focus();
    await page.keyboard.press('Control+Enter');
    await finished(page);
    expect(await visitor.newest()).toMatchObject({ options: { prompt: '{a|b} pear', dynamicPrompts: true } });
    expect(await page.getByText('Additional options').count()).toBe(0);
  });
});
