import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, it } from 'vitest';
import { EmbeddingFolder } from '../../lib/adapters/embeddings/embedding-folder.js';
import { FIXTURES } from '../support/embeddings.js';

const top = mkdtempSync(join(tmpdir(), 'safelight-embedding-folder-'));
afterAll(() => rmSync(top, { recursive: true }));

let path: string;
let count = 0;
beforeEach(() => {
  path = join(top, String(count++));
  mkdirSync(path);
});

/** Copies a fixture into the folder. @returns the copy's path */
function put(fixture: string, name: string): string {
  const target = join(path, name);
  mkdirSync(join(target, '..'), { recursive: true });
  copyFileSync(join(FIXTURES, fixture), target);
  return target;
}
const namesOf = async (folder: EmbeddingFolder) => (await folder.list()).map(({ name }) => name);

it('lists embeddings of all formats in the folder and its subfolders by name', async () => {
  put('webui.pt', 'b.pt');
  put('concept.bin', 'sub/deep/a.bin');
  put('xl.safetensors', 'sub/C.SAFETENSORS');
  const image = put('text.png', 'image.png');
  put('pixels.webp', 'z/pixels.webp');
  writeFileSync(join(path, 'notes.txt'), 'text');
  const folder = new EmbeddingFolder(path);
  const entries = await folder.list();
  // Both images state the name "made-name".
  expect(entries).toEqual([
    { name: 'b', path: join(path, 'b.pt') },
    { name: 'made-name', path: image },
    { name: 'C', path: join(path, 'sub/C.SAFETENSORS') },
    { name: 'a', path: join(path, 'sub/deep/a.bin') },
  ]);
  expect((await folder.read('a')).vectors).toBe(1);
  expect((await folder.read('made-name')).path).toBe(image);
});

it('skips hidden files, previews and images without an embedding', async () => {
  put('webui.pt', 'ink.pt');
  put('webui.pt', '.hidden.pt');
  put('webui.pt', '.cache/other.pt');
  put('plain.png', 'photo.png');
  put('text.png', 'ink.preview.png');
  put('text.png', 'ink.png');
  expect(await namesOf(new EmbeddingFolder(path))).toEqual(['ink']);
});

it('follows links, and visits a folder that contains itself once', async () => {
  put('webui.pt', 'inside/ink.pt');
  const other = mkdtempSync(join(top, 'linked-'));
  copyFileSync(join(FIXTURES, 'webui.pt'), join(other, 'far.pt'));
  symlinkSync(other, join(path, 'linked'));
  symlinkSync(path, join(path, 'inside/loop'));
  symlinkSync(join(path, 'nowhere'), join(path, 'broken.pt'));
  expect(await namesOf(new EmbeddingFolder(path))).toEqual(['ink', 'far']);
});

it('lists files that appear later, and reads a file again after it has changed', async () => {
  const file = put('webui.pt', 'ink.pt');
  const folder = new EmbeddingFolder(path);
  expect(await namesOf(folder)).toEqual(['ink']);
  const first = await folder.read('ink');
  expect(await folder.read('ink')).toBe(first);
  const { mtime } = statSync(file);
  put('concept.bin', 'ink.pt');
  utimesSync(file, mtime, new Date(mtime.getTime() + 1000));
  expect((await folder.read('ink')).vectors).toBe(1);
  put('kohya.safetensors', 'later.safetensors');
  expect((await folder.read('later')).vectors).toBe(2);
  rmSync(file);
  expect(await namesOf(folder)).toEqual(['later']);
});

it('lists damaged files, so that only those who name them get the error', async () => {
  put('webui.pt', 'good.pt');
  writeFileSync(join(path, 'bad.pt'), 'not an embedding');
  writeFileSync(join(path, 'empty.safetensors'), '');
  const folder = new EmbeddingFolder(path);
  expect(await namesOf(folder)).toEqual(['bad', 'empty', 'good']);
  expect((await folder.read('good')).vectors).toBe(2);
  await expect(folder.read('bad')).rejects.toMatchObject({ code: 'INVALID_FILE' });
  await expect(folder.read('empty')).rejects.toMatchObject({ code: 'INVALID_FILE' });
});

it('takes the first of several files of the same name', async () => {
  const first = put('concept.bin', 'a/ink.bin');
  put('webui.pt', 'b/ink.pt');
  const folder = new EmbeddingFolder(path);
  expect(await folder.list()).toEqual([{ name: 'ink', path: first }]);
  expect((await folder.read('ink')).vectors).toBe(1);
});

it('may not exist yet, if it is only searched', async () => {
  const late = new EmbeddingFolder(join(path, 'late'));
  expect(await late.listIfPresent()).toEqual([]);
  await expect(new EmbeddingFolder(put('webui.pt', 'file.pt')).list()).rejects.toThrow();
});

it('rejects a missing folder and a name that the folder does not have', async () => {
  await expect(new EmbeddingFolder(join(path, 'missing')).list()).rejects.toMatchObject({
    code: 'FILE_NOT_FOUND',
    message: expect.stringMatching(/missing does not exist/),
  });
  await expect(new EmbeddingFolder(put('webui.pt', 'file.pt')).list()).rejects.toMatchObject({
    code: 'FILE_NOT_FOUND',
  });
  await expect(new EmbeddingFolder(path).read('other')).rejects.toMatchObject({
    code: 'ADAPTER_NOT_FOUND',
    message: expect.stringMatching(/no embedding named "other".*are: file/),
  });
});
