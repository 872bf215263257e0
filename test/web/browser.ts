/** A browser on a server's page: one of each for a file, a fresh visit for each test. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from 'playwright-core';
import type { Settings } from '../../web/src/logic/settings.js';
import { startServer, type TestServer } from '../support/server/test-server.js';

const BROWSERS = [
  process.env.CHROMIUM ?? '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
];
export const browserPath = BROWSERS.find((path) => existsSync(path));
export const builtPage = fileURLToPath(new URL('../../dist/web', import.meta.url));

/** Says in the name of the tests why they are left out. */
export const withoutBrowser =
  browserPath === undefined ? ' (left out: no Chromium at /usr/bin/chromium, or where CHROMIUM says)' : '';

export interface Visit extends BrowserContextOptions {
  /** What an earlier visit left in the form. */
  readonly settings?: Partial<Settings>;
  /** Called before the page is opened, such as for answers that stand in for the server's. */
  readonly prepare?: (context: BrowserContext) => Promise<unknown>;
}

export class Visitor {
  /** Addresses that pages asked for, and errors they ran into. */
  readonly asked: string[] = [];
  readonly errors: string[] = [];

  private constructor(
    readonly server: TestServer,
    private readonly browser: Browser,
  ) {}

  static async start(model: readonly string[]): Promise<Visitor> {
    if (!existsSync(builtPage)) throw new Error('The page is not built: npm run prepare');
    const server = await startServer({ model: [...model], starter: false });
    const browser = await chromium.launch({ executablePath: browserPath!, args: ['--no-sandbox'] });
    return new Visitor(server, browser);
  }

  async end(): Promise<void> {
    await this.browser.close();
    await this.server.end();
  }

  /** Opens the page as somebody would who was here before. */
  async visit({ settings, prepare, ...options }: Visit = {}, url = this.server.url): Promise<Page> {
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    context.setDefaultTimeout(30_000);
    context.on('request', (request) => this.asked.push(request.url()));
    context.on('console', (message) => {
      if (message.type() === 'error') this.errors.push(message.text());
    });
    context.on('weberror', (error) => this.errors.push(String(error.error())));
    // Only the first time: a reload has to bring back what the page itself kept.
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

  /** The newest job of the server, as its API shows it. */
  async newest(): Promise<
    Record<string, unknown> & { id: string; status: string; images: { url: string }[] }
  > {
    const answer = await fetch(`${this.server.url}/v1/jobs?limit=1`);
    const { jobs } = (await answer.json()) as { jobs: Awaited<ReturnType<Visitor['newest']>>[] };
    return jobs[0]!;
  }

  /** Every job forgotten, so that a test begins with an empty gallery. */
  async forgetAll(): Promise<void> {
    const { jobs } = (await (await fetch(`${this.server.url}/v1/jobs`)).json()) as { jobs: { id: string }[] };
    for (const { id } of jobs) {
      await fetch(`${this.server.url}/v1/jobs/${id}`, { method: 'DELETE' });
      await fetch(`${this.server.url}/v1/jobs/${id}/results`, { method: 'DELETE' });
    }
  }
}

/** The picture on the stage, once it is a finished one. */
export async function finished(page: Page): Promise<string> {
  const picture = page.locator('.stage .frame > img[src^="/v1/jobs/"]');
  await picture.waitFor();
  return (await picture.getAttribute('src'))!;
}
