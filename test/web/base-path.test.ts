/** The web page below a base path, in a real browser behind a reverse proxy. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { starterModel } from '../../lib/checkpoint/open.js';
import { ReverseProxy } from '../support/server/reverse-proxy.js';
import { browserPath, Visitor, withoutBrowser } from './browser.js';

describe.skipIf(browserPath === undefined)(`the web page below a base path${withoutBrowser}`, () => {
  let visitor: Visitor;
  beforeAll(async () => {
    const input = { 'base-path': '/tools/safelight', 'api-key': 'secret' };
    visitor = await Visitor.start([`starter=${starterModel}`], input);
  });
  afterAll(() => visitor?.end());

  it.each([
    ['keeps the path', false],
    ['removes the path', true],
  ])('works behind a proxy that %s', async (_, strips) => {
    const proxy = await ReverseProxy.start(new URL(visitor.server.url).origin, {
      path: '/tools/safelight',
      strips,
    });
    // A proxy that removes the path cannot leave the redirect to the path with a slash to the server.
    const address = strips ? `${proxy.url}/` : proxy.url;
    const page = await visitor.visit({ settings: { prompt: 'a red apple', steps: 4 } }, address);
    try {
      await page.getByLabel('API key').fill('secret');
      await page.keyboard.press('Enter');
      await page.getByRole('button', { name: 'Generate' }).click();
      const image = page.locator('.stage .frame > img[src*="/v1/jobs/"]');
      await image.waitFor();
      expect(await image.getAttribute('src')).toMatch(/^\/tools\/safelight\/v1\/jobs\/\w+\/files\/0\.png$/);
      expect(await image.evaluate((element) => (element as HTMLImageElement).naturalWidth)).toBe(128);
      const thumbnail = page.locator('.gallery .thumb img').first();
      await expect
        .poll(() => thumbnail.evaluate((element) => (element as HTMLImageElement).naturalWidth))
        .toBeGreaterThan(0);
      // The image is still there after a reload, which needs the session's cookie.
      await page.reload();
      await image.waitFor();
      const reference = await page.goto(`${proxy.url}/docs`);
      expect(reference?.status()).toBe(200);
      await page.getByText('Queue a job').waitFor();
      expect(proxy.strays).toEqual([]);
      expect(visitor.asked.filter((url) => url.startsWith('http') && !url.startsWith(proxy.url))).toEqual([]);
    } finally {
      visitor.asked.length = 0;
      await page.context().close();
      await proxy.end();
    }
  });
});
