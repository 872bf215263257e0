/** The samples of README.md and docs/ compile and run. All of them take about a minute of processor time. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { root } from '../package/npm.js';
import { blocksOf, type Sample, samplesOf } from '../support/docs/extract-samples.js';
import { type Outcome, SampleProject } from '../support/docs/sample-project.js';
import { startServer, type TestServer } from '../support/server/test-server.js';

// The samples of a page run in one test.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 120_000 });

const pages = ['README.md', ...readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'))];
const blocks = new Map(
  pages.map((page) => {
    const path = page === 'README.md' ? page : join('docs', page);
    return [page, blocksOf(page, readFileSync(join(root, path), 'utf8'))] as const;
  }),
);
const samples = [...blocks].flatMap(([, all]) => samplesOf(all));
const modules = samples.filter(({ language }) => language !== 'sh');
const scripts = samples.filter(({ language }) => language === 'sh');
const runs = ({ noRun }: Sample) => noRun === undefined;

describe('the reader of samples', () => {
  const read = (text: string): Sample[] => samplesOf(blocksOf('page.md', text));

  it('joins continued blocks, and keeps one that cannot run apart', () => {
    const text =
      '```ts\na\n```\ntext\n```ts continued\nb\n```\n```ts continued no-run="needs a GPU"\nc\n```\n```ts continued\nd\n```';
    expect(read(text).map(({ code, noRun, line, lines }) => [code, noRun, line, lines])).toEqual([
      ['a\nb\nd\n', undefined, 1, [2, 6, 12, 13]],
      ['a\nb\nc\n', 'needs a GPU', 8, [2, 6, 9, 10]],
    ]);
  });

  it('reads scripts and CommonJS, and no other languages', () => {
    const text =
      '```sh\na\n```\n```js commonjs\nb\n```\n```json\n{}\n```\n```\nc\n```\n1. d\n   ```sh\n   e\n   ```';
    expect(read(text).map(({ language, code }) => [language, code])).toEqual([
      ['sh', 'a\n'],
      ['cjs', 'b\n'],
      ['sh', 'e\n'],
    ]);
  });

  it.each([
    ['a block that continues nothing', '```ts continued\na\n```', 'page.md:1: the block continues nothing'],
    ['no-run without a reason', '```sh no-run=""\na\n```', 'page.md:1: no-run needs a reason'],
    ['another word', '```sh no-rum="x"\na\n```', 'page.md:1: expected continued, commonjs or no-run'],
    ['a block without an end', '```sh\na\n', 'page.md:1: the block has no end'],
  ])('rejects %s', (_, text, message) => {
    expect(() => read(text)).toThrow(message);
  });
});

it('finds samples in the README and in most pages', () => {
  expect(new Set(samples.filter(runs).map(({ page }) => page)).size).toBeGreaterThan(pages.length / 2);
});

it.each(
  [...blocks.values()].flat().flatMap(({ page, line, language, text }) => {
    const read = { json: JSON.parse as (text: string) => unknown, yaml: parse }[language];
    return read ? [[language, `${page}:${line}`, read, text] as const] : [];
  }),
)('parses the %s of %s', (_language, _place, read, text) => {
  expect(() => read(text)).not.toThrow();
});

describe('the samples', () => {
  let project: SampleProject;
  let server: TestServer;
  let complaints: string;
  beforeAll(async () => {
    project = await SampleProject.create();
    complaints = project.compile(modules);
    server = await startServer({ model: [`sd15=${project.path('files/sd15.safetensors')}`] });
  });
  afterAll(async () => {
    await server?.end();
    project?.dispose();
  });
  const port = () => Number(new URL(server.url).port);
  const errors = (outcomes: readonly Outcome[]) =>
    outcomes.flatMap(({ name, error }) => (error === undefined ? [] : [`${name}: ${error}`]));

  it('type-check', () => {
    expect(complaints).toBe('');
  });

  it.each(pages.filter((page) => modules.some((one) => one.page === page && runs(one))))(
    'run: the modules of %s',
    async (page) => {
      const own = modules.filter((one) => one.page === page && runs(one));
      const outcomes = await project.runModules(page, own, port());
      expect(errors(outcomes)).toEqual([]);
      expect(outcomes.map(({ name }) => name)).toEqual(own.map(({ name }) => name));
    },
  );

  it.each(scripts.filter(runs).map((script) => [script.name, script] as const))(
    'run: the script of %s',
    async (_, script) => {
      expect(errors([await project.runScript(script, port())])).toEqual([]);
    },
  );

  it.each(samples.filter((one) => !runs(one)).map((one) => [one.name, one.noRun] as const))(
    'leave out %s: %s',
    (_, reason) => {
      expect(reason).toMatch(/\w/);
    },
  );
});
