/** Wildcards in files: names, formats, changes, and files that cannot be used. */
import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveDynamicPrompt } from '../../lib/conditioning/dynamic-prompts.js';
import { matchesGlob } from '../../lib/conditioning/glob.js';
import { WildcardFolder } from '../../lib/conditioning/wildcard-folder.js';

let folder: string;
let source: WildcardFolder;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wildcards-'));
  source = new WildcardFolder(folder);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const write = async (name: string, content: string | Uint8Array) => {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return path;
};
const entries = async (name: string) => (await source.open()).entries(name);
const texts = async (name: string) => (await entries(name)).map(({ text }) => text);

describe('text files', () => {
  it('have one entry per line, without comments, empty and repeated lines', async () => {
    await write('color.txt', '\uFEFF# colors\r\nred\r\n\r\n  green \r\n#blue\r\nred\r\ncrème');
    expect(await entries('color')).toEqual([
      { text: 'red', weight: 1 },
      { text: 'green', weight: 1 },
      { text: 'crème', weight: 1 },
    ]);
  });

  it('are named by their path without extension, in any case', async () => {
    await write('Art/Painter names.txt', 'a');
    expect(await texts('art/painter NAMES')).toEqual(['a']);
    expect(await texts('Art/Painter names')).toEqual(['a']);
    await write('café.txt'.normalize('NFD'), 'b');
    expect(await texts('CAFÉ'.normalize('NFC'))).toEqual(['b']);
  });

  it('are read again after a change, and new ones are found', async () => {
    const path = await write('a.txt', 'one');
    expect(await texts('a')).toEqual(['one']);
    await write('a.txt', 'two');
    await utimes(path, 1, 1);
    await write('b.txt', 'three');
    expect([await texts('a'), await texts('b')]).toEqual([['two'], ['three']]);
    await rm(path);
    await expect(texts('a')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it('are not read again while size and time are equal', async () => {
    const path = await write('a.txt', 'one');
    await utimes(path, 1, 1);
    expect(await texts('a')).toEqual(['one']);
    await write('a.txt', 'two');
    await utimes(path, 1, 1);
    expect(await texts('a')).toEqual(['one']);
  });

  it('are rejected without entries, in another encoding and above 16 MB', async () => {
    await write('empty.txt', '# nothing\n\n');
    await write('latin.txt', Uint8Array.of(0x63, 0xe9));
    await write('large.txt', new Uint8Array(16 * 1024 * 1024 + 1).fill(97));
    for (const name of ['empty', 'latin', 'large'])
      await expect(texts(name)).rejects.toMatchObject({
        code: 'INVALID_FILE',
        message: expect.stringContaining(`${name}.txt`),
      });
  });
});

describe('YAML and JSON files', () => {
  it('name their lists below their folder', async () => {
    await write('x.yaml', 'clothing:\n  - shirt\n  - 3\nartists:\n  dutch: [a, b]\n  ignored: 5\n');
    await write('sub/y.json', '{"food": ["bread"], "deep": {"est": ["x"]}}');
    await write('list.yml', '- p\n- q\n');
    expect(await texts('clothing')).toEqual(['shirt', '3']);
    expect(await texts('artists/dutch')).toEqual(['a', 'b']);
    expect(await texts('sub/food')).toEqual(['bread']);
    expect(await texts('sub/deep/est')).toEqual(['x']);
    expect(await texts('list')).toEqual(['p', 'q']);
    for (const name of ['artists', 'artists/ignored', 'x'])
      await expect(texts(name)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it('may state weights', async () => {
    await write('w.yaml', 'w: ["2::red", blue, {text: green, weight: 0.5}, {weight: 1}, -1::x, null]');
    expect(await entries('w')).toEqual([
      { text: 'red', weight: 2 },
      { text: 'blue', weight: 1 },
      { text: 'green', weight: 0.5 },
      { text: '-1::x', weight: 1 },
    ]);
  });

  it('that are invalid are reported when a name is not found, and do not disturb others', async () => {
    await write('bad.yaml', 'a: [b');
    const doubled = [...Array(40).keys()].map((i) => `l${i + 1}: &l${i + 1} [*l${i}, *l${i}]\n`);
    await write('aliases.yaml', `l0: &l0 [x]\n${doubled.join('')}`);
    await write('deep.json', '['.repeat(5000));
    await write('good.txt', 'x');
    expect(await texts('good')).toEqual(['x']);
    await expect(texts('a/b')).rejects.toMatchObject({ code: 'INVALID_FILE' });
  });
});

describe('patterns', () => {
  beforeEach(async () => {
    await write('colors-warm.txt', 'red\nyellow');
    await write('colors-cold.txt', 'blue\nred');
    await write('art/oil/dutch.txt', 'a');
    await write('art/ink.txt', 'b');
  });

  it('collect the entries of all matching wildcards, in the order of their names, each once', async () => {
    expect(await texts('Colors*')).toEqual(['blue', 'red', 'yellow']);
    expect(await texts('art/*')).toEqual(['b']);
    expect(await texts('art/**')).toEqual(['b', 'a']);
    expect(await texts('colors-?old')).toEqual(['blue', 'red']);
    await expect(texts('colours*')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it.each([
    ['a*c', 'abc', true],
    ['a*c', 'ac', true],
    ['a*c', 'a/c', false],
    ['a**c', 'a/b/c', true],
    ['**/c', 'a/b/c', true],
    ['*', '', true],
    ['a?c', 'a/c', false],
    ['a?c', 'a漢c', true],
    ['a?c', 'a😀c', true],
    ['*😀', 'x😀', true],
    ['a.c', 'abc', false],
    ['abc', 'ab', false],
    ['*a', 'aab', false],
  ])('%j and %j', (pattern, name, expected) => {
    expect(matchesGlob(pattern, name)).toBe(expected);
  });

  it('are matched in time that does not explode with the number of stars', () => {
    const start = process.cpuUsage();
    expect(matchesGlob(`${'*a'.repeat(100)}b`, 'a'.repeat(250))).toBe(false);
    expect(process.cpuUsage(start).user).toBeLessThan(1_000_000);
  });
});

describe('the folder', () => {
  it('is not left by a name', async () => {
    const outside = await mkdtemp(join(tmpdir(), 'outside-'));
    await writeFile(join(outside, 'secret.txt'), 'secret');
    await write('a.txt', 'x');
    for (const name of ['../secret', `${outside}/secret`, '/etc/passwd', 'a/../a', './a', 'a//b', '..'])
      await expect(texts(name)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await rm(outside, { recursive: true });
  });

  it('may contain links, also to itself', async () => {
    await write('sub/a.txt', 'x');
    await symlink(folder, join(folder, 'sub', 'loop'));
    await symlink('nowhere', join(folder, 'dangling.txt'));
    await symlink(join(folder, 'sub', 'a.txt'), join(folder, 'b.txt'));
    expect([await texts('sub/a'), await texts('b')]).toEqual([['x'], ['x']]);
    await expect(texts('sub/loop/sub/a')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it('is named with a similar wildcard if a name is unknown, and if it is missing', async () => {
    await write('color.txt', 'x');
    await expect(texts('colour')).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: expect.stringMatching(new RegExp(`__colour__.*${folder}.*did you mean __color__\\?`)),
    });
    await expect(new WildcardFolder(join(folder, 'none')).open()).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
    });
  });

  it('provides the wildcards of dynamic prompts, equal for equal files and seeds', async () => {
    await write('a.txt', '{big|small} __b__\n__b__ alone');
    await write('b.txt', 'cat\ndog\nbird');
    const draws = async (wildcards: WildcardFolder) =>
      Promise.all([...Array(50).keys()].map((seed) => resolveDynamicPrompt('__a__', { seed, wildcards })));
    const first = await draws(source);
    expect(new Set(first)).toEqual(
      new Set(['cat', 'dog', 'bird'].flatMap((kind) => [`big ${kind}`, `small ${kind}`, `${kind} alone`])),
    );
    expect(await draws(new WildcardFolder(folder))).toEqual(first);
  });
});
