/** A browser on a server's web page: one of each per file, a new visit per test. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from 'playwright-core';
import type { ServeInput } from '../../lib/server/config.js';
import type { Settings } from '../../web/src/logic/settings.js';
import { startServer, type TestServer } from '../support/server/test-server.js';

const BROWSERS = [
  process.env.CHROMIUM ?? '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
];
export const browserPath = BROWSERS.find((path) => existsSync(path));
export const builtPage = fileURLToPath(new URL('../../dist/web', import.meta.url));

/** The reason for skipping, appended to the name of the tests. */
export const withoutBrowser =
  browserPath === undefined ? ' (left out: no Chromium at /usr/bin/chromium, or where CHROMIUM says)' : '';

export interface Visit extends BrowserContextOptions {
  /** Settings that an earlier visit left in the form. */
  readonly settings?: Partial<Settings>;
  /** Called before the page is opened, for example to stub responses of the server. */
  readonly prepare?: (context: BrowserContext) => Promise<unknown>;
}

export class Visitor {
  /** URLs requested by pages, and errors on them. */
  readonly asked: string[] = [];
  readonly errors: string[] = [];

  private constructor(
    readonly server: TestServer,
    private readonly browser: Browser,
  ) {}

  /** @param input further configuration of the server */
  static async start(model: readonly string[], input: ServeInput = {}): Promise<Visitor> {
    if (!existsSync(builtPage)) throw new Error('The web page is not built: run `npm run prepare`');
    const server = await startServer({ model: [...model], starter: false, ...input });
    const browser = await chromium.launch({ executablePath: browserPath!, args: ['--no-sandbox'] });
    return new Visitor(server, browser);
  }

  async end(): Promise<void> {
    await this.browser.close();
    await this.server.end();
  }

  /** Opens the page with the storage of an earlier visit. */
  async visit({ settings, prepare, ...options }: Visit = {}, url = this.server.url): Promise<Page> {
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    context.setDefaultTimeout(30_000);
    context.on('request', (request) => this.asked.push(request.url()));
    context.on('console', (message) => {
      if (message.type() === 'error') this.errors.push(message.text());
    });
    context.on('weberror', (error) => this.errors.push(String(error.error())));
    // Only the first time: after a reload the page itself has to restore what it stored.
    await context.addInitScript(
      (kept) => {
        if (location.protocol === 'about:') return;
        localStorage.getItem('safelight.settings') ?? localStorage.setItem('safelight.settings', kept);
      },
      JSON.stringify({ steps: 4, seed: 1, ...settings }),
    );
    await prepare?.(context);
    const page = await context.newPage();
    await page.goto(url);
    return page;
  }

  /** Returns the newest job of the server, as its API returns it. */
  async newest(): Promise<
    Record<string, unknown> & { id: string; status: string; images: { url: string }[] }
  > {
    const answer = await fetch(`${this.server.url}/v1/jobs?limit=1`);
    const { jobs } = (await answer.json()) as { jobs: Awaited<ReturnType<Visitor['newest']>>[] };
    return jobs[0]!;
  }

  /** Removes every job, so that a test begins with an empty gallery. */
  async forgetAll(): Promise<void> {
    const { jobs } = (await (await fetch(`${this.server.url}/v1/jobs`)).json()) as { jobs: { id: string }[] };
    for (const { id } of jobs) {
      await fetch(`${this.server.url}/v1/jobs/${id}`, { method: 'DELETE' });
      await fetch(`${this.server.url}/v1/jobs/${id}/results`, { method: 'DELETE' });
    }
  }
}

/** Returns the URL of the image on the stage once it is final. */
export async function finished(page: Page): Promise<string> {
  const image = page.locator('.stage .frame > img[src^="/v1/jobs/"]');
  await image.waitFor();
  return (await image.getAttribute('src'))!;
}
