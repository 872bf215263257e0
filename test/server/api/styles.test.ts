/** Prompt styles of the API, stored in the styles.csv that A1111's routes read. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseStyles, styled, withoutStyle, withStyle } from '../../../lib/conditioning/styles.js';
import { hiresFields } from '../../../lib/options/declarations/hires.js';
import { call, startServer, type TestServer } from '../../support/server/test-server.js';

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.end());
beforeEach(() => rm(file(), { force: true }));

const file = () => join(server.data, 'styles.csv');
const address = (name: string) => `${server.url}/v1/styles/${encodeURIComponent(name)}`;
const put = (name: string, json: unknown) => call(address(name), { method: 'PUT', json });
const list = async () => (await call<{ styles: unknown[] }>(`${server.url}/v1/styles`)).body.styles;

describe('styles over HTTP', () => {
  it('are saved, listed, replaced and deleted, and visible to A1111’s clients', async () => {
    expect(await list()).toEqual([]);
    const ink = { prompt: '{prompt}, drawn in "ink",\nblack', negative: 'colour' };
    expect((await put('ink', ink)).body).toEqual({ name: 'ink', ...ink });
    await put('blur', { negative: 'blurry' });
    expect(await list()).toEqual([
      { name: 'ink', ...ink },
      { name: 'blur', prompt: '', negative: 'blurry' },
    ]);
    expect((await call(`${server.url}/sdapi/v1/prompt-styles`)).body).toEqual([
      { name: 'ink', prompt: ink.prompt, negative_prompt: 'colour' },
      { name: 'blur', prompt: '', negative_prompt: 'blurry' },
    ]);
    await put('ink', { prompt: 'ink' });
    expect(await list()).toEqual([
      { name: 'ink', prompt: 'ink', negative: '' },
      { name: 'blur', prompt: '', negative: 'blurry' },
    ]);
    expect((await call(address('ink'), { method: 'DELETE' })).status).toBe(204);
    expect(await list()).toEqual([{ name: 'blur', prompt: '', negative: 'blurry' }]);
    expect(await call(address('ink'), { method: 'DELETE' })).toMatchObject({
      ...{ status: 404, body: { error: { code: 'FILE_NOT_FOUND', message: 'No style is named "ink"' } } },
    });
  });

  it('may have any name of one line', async () => {
    const names = ['a/b', '50% off', '水墨'.repeat(50), '"quoted", name', 'x.y?z#1'];
    for (const name of names) expect([name, (await put(name, { prompt: name })).status]).toEqual([name, 200]);
    expect(await list()).toEqual(names.map((name) => ({ name, prompt: name, negative: '' })));
    for (const name of names) expect((await call(address(name), { method: 'DELETE' })).status).toBe(204);
  });

  it('are rejected by name if a name or text cannot be stored', async () => {
    for (const name of ['two\nlines', ' ', 'None', 'x'.repeat(101)]) {
      const { status, body } = await put(name, { prompt: 'x' });
      expect([name, status, body.error]).toMatchObject([name, 400, { code: 'INVALID_OPTION' }]);
    }
    expect((await put('x', {})).body.error).toMatchObject({ message: expect.stringContaining('neither') });
    expect((await put('x', { prompt: 'y'.repeat(10_001) })).status).toBe(400);
    expect((await put('x', { prompt: 'y', colour: 1 })).status).toBe(400);
    expect(await list()).toEqual([]);
  });

  it('keep the entries that A1111 or a spreadsheet wrote', async () => {
    await writeFile(file(), 'name,prompt,negative_prompt,note\r\n,divider,,x\r\nold,faded,,"mine, too"\r\n');
    await put('new', { prompt: 'fresh' });
    await put('old', { prompt: 'bright' });
    expect(await readFile(file(), 'utf8')).toBe(
      '\uFEFFname,prompt,negative_prompt,note\r\n,divider,,x\r\nold,bright,,"mine, too"\r\nnew,fresh,,\r\n',
    );
  });

  it('are both saved by concurrent requests', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, i) => put(`style ${i}`, { prompt: `${i}` })));
    expect(await list()).toHaveLength(20);
  });

  it('leave a file unchanged that is not UTF-8 text', async () => {
    const bytes = Buffer.from([...Buffer.from('name,prompt\r\n'), 0xe9, 0xff, 0x2c]);
    await writeFile(file(), bytes);
    expect((await put('x', { prompt: 'y' })).body.error).toMatchObject({ code: 'INVALID_FILE' });
    expect(await readFile(file())).toEqual(bytes);
  });
});

describe('a styles.csv', () => {
  it('returns every text that was stored', () => {
    const texts = ['', 'a', 'a, b', '"', '""', 'line\nbreak', '\r\n', ' blanks ', 'é水', ',', '\uFEFF'];
    let csv = '';
    const all = texts.map((text, i) => ({ name: `n${i}`, prompt: text, negative_prompt: texts.at(-1 - i)! }));
    for (const style of all) csv = withStyle(csv, style);
    expect(parseStyles(csv)).toEqual(all);
    for (const { name } of all) csv = withoutStyle(csv, name);
    expect(parseStyles(csv)).toEqual([]);
  });

  it('is read and written with its old prompt column', () => {
    const csv = withStyle('name,text\r\nold,faded\r\n', { name: 'old', prompt: 'x', negative_prompt: 'y' });
    expect(csv).toBe('\uFEFFname,text,negative_prompt\r\nold,x,y\r\n');
  });
});

it('a style replaces {prompt}, or is appended to it', () => {
  expect(styled('a cat', ['{prompt} of {prompt}', 'ink'])).toBe('a cat of a cat, ink');
  expect(styled('', ['ink'])).toBe('ink');
  expect(styled('a $& cat', ['{prompt}!'])).toBe('a $& cat!');
});

it('lists every upscaler of the second pass that the API accepts', async () => {
  const { body } = await call<{ hiresUpscalers: { name: string; label: string }[] }>(
    `${server.url}/v1/about`,
  );
  expect(body.hiresUpscalers.map(({ name }) => name)).toEqual([...hiresFields.hires.fields.upscaler.values]);
  expect(body.hiresUpscalers).toContainEqual({ name: 'nearest', label: 'Nearest' });
});
