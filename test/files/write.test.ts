import {
  chmod,
  link,
  lstat,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { writeLargeOutput, writeNewOutput, writeOutput } from '../../lib/files/write.js';
import { makeFifo, makeNullDevice, withoutDevices, withoutFifos } from '../support/special-files.js';

const folders: string[] = [];
let folder: string;
const at = (name: string): string => join(folder, name);
const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (name: string): Promise<string> => readFile(at(name), 'utf8');

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'safelight-write-'));
  folders.push(folder);
});
afterAll(() => Promise.all(folders.map((one) => rm(one, { recursive: true, force: true }))));

const writers = [
  { name: 'writeOutput', write: writeOutput },
  {
    name: 'writeLargeOutput',
    write: (path: string, data: Uint8Array) => writeLargeOutput(path, (handle) => handle.writeFile(data)),
  },
] as const;

describe.each(writers)('$name', ({ write }) => {
  it('replaces a regular file completely, keeps its mode and leaves no temporary file', async () => {
    await writeFile(at('a'), 'old and longer');
    await chmod(at('a'), 0o640);
    const { ino } = await stat(at('a'));
    await write(at('a'), bytes('new'));
    expect(await text('a')).toBe('new');
    const after = await stat(at('a'));
    expect(after.mode & 0o777).toBe(0o640);
    expect(after.ino).not.toBe(ino); // renamed over the target, never written in place
    expect(await readdir(folder)).toEqual(['a']);
  });

  it('leaves the other names of a hard-linked file unchanged', async () => {
    await writeFile(at('a'), 'old');
    await link(at('a'), at('b'));
    await write(at('a'), bytes('new'));
    expect([await text('a'), await text('b')]).toEqual(['new', 'old']);
  });

  it('follows a symbolic link, and a chain of them, to the file', async () => {
    await writeFile(at('target'), 'old');
    await symlink('target', at('one'));
    await symlink(at('one'), at('two'));
    await write(at('two'), bytes('new'));
    expect(await text('target')).toBe('new');
    expect(await readlink(at('two'))).toBe(at('one'));
    expect(await readlink(at('one'))).toBe('target');
  });

  it('creates the target of a dangling link', async () => {
    await symlink('later', at('link'));
    await write(at('link'), bytes('new'));
    expect((await lstat(at('link'))).isSymbolicLink()).toBe(true);
    expect(await text('later')).toBe('new');
  });

  it('rejects folders, circular links, sockets and missing folders', async () => {
    await symlink('b', at('a'));
    await symlink('a', at('b'));
    const server = createServer().listen(at('socket'));
    await new Promise((resolve) => server.once('listening', resolve));
    for (const path of [folder, `${at('x')}/`, at('a'), at('socket'), at('no/such/folder')])
      await expect(write(path, bytes('x'))).rejects.toMatchObject({ code: 'FILE_NOT_WRITTEN' });
    expect((await lstat(at('socket'))).isSocket()).toBe(true);
    server.close();
  });

  it.skipIf(withoutFifos)(`writes through a FIFO${withoutFifos ? `: ${withoutFifos}` : ''}`, async () => {
    const data = Buffer.alloc(300_000, 'safelight'); // more than the buffer of the FIFO holds
    const fifo = makeFifo(at('fifo'));
    const written = write(fifo, data);
    await new Promise((resolve) => setTimeout(resolve, 50)); // nobody reads yet
    const [read] = await Promise.all([readFile(fifo), written]);
    expect(data.equals(read)).toBe(true);
    expect((await lstat(fifo)).isFIFO()).toBe(true);
    expect(await readdir(folder)).toEqual(['fifo']);
  });

  it.skipIf(withoutDevices)(
    `writes through a device, also behind a link${withoutDevices ? `: ${withoutDevices}` : ''}`,
    async () => {
      makeNullDevice(at('null'));
      await symlink('null', at('link'));
      for (const name of ['null', 'link']) await write(at(name), bytes('gone'));
      expect((await lstat(at('null'))).isCharacterDevice()).toBe(true);
      expect((await lstat(at('link'))).isSymbolicLink()).toBe(true);
      expect((await readdir(folder)).sort()).toEqual(['link', 'null']);
    },
  );
});

describe('writeOutput', () => {
  it('accepts file: URLs and lists the accepted kinds of path when it rejects one', async () => {
    await writeOutput(pathToFileURL(at('a file #1')), bytes('x'));
    expect(await text('a file #1')).toBe('x');
    for (const path of [new URL('https://example.com/a.png'), '', 'a\0b'])
      await expect(writeOutput(path, bytes('x'))).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});

describe('writeLargeOutput', () => {
  it('keeps the existing file and removes the temporary file when filling fails', async () => {
    await writeFile(at('a'), 'old');
    const failure = new Error('stopped');
    const writing = writeLargeOutput(at('a'), async (handle) => {
      await handle.writeFile('half');
      throw failure;
    });
    await expect(writing).rejects.toBe(failure);
    expect(await text('a')).toBe('old');
    expect(await readdir(folder)).toEqual(['a']);
  });
});

describe('writeNewOutput', () => {
  it('uses the next free name instead of overwriting, even with concurrent writers', async () => {
    const written = await Promise.all([1, 2, 3].map((n) => writeNewOutput(at('x.png'), Uint8Array.of(n))));
    expect([...written].sort()).toEqual([at('x-2.png'), at('x-3.png'), at('x.png')]);
    const contents = await Promise.all(written.map(async (file) => (await readFile(file))[0]));
    expect(contents).toEqual([1, 2, 3]);
    expect((await readdir(folder)).sort()).toEqual(['x-2.png', 'x-3.png', 'x.png']);
  });

  it('never overwrites the target of a link, but creates a missing one', async () => {
    await writeFile(at('target'), 'old');
    await symlink('target', at('a.png'));
    expect(await writeNewOutput(at('a.png'), bytes('new'))).toBe(at('a-2.png'));
    expect([await text('target'), await text('a-2.png')]).toEqual(['old', 'new']);
    await symlink('missing', at('b.png'));
    expect(await writeNewOutput(at('b.png'), bytes('new'))).toBe(at('b.png'));
    expect(await text('missing')).toBe('new');
  });

  it.skipIf(withoutFifos)('writes through a FIFO instead of using another name', async () => {
    const fifo = makeFifo(at('fifo'));
    const [read, path] = await Promise.all([readFile(fifo, 'utf8'), writeNewOutput(fifo, bytes('x'))]);
    expect([read, path]).toEqual(['x', fifo]);
    expect(await readdir(folder)).toEqual(['fifo']);
  });

  it('reports why it cannot write', async () => {
    await expect(writeNewOutput(at('no/such/folder.png'), bytes('x'))).rejects.toMatchObject({
      code: 'FILE_NOT_WRITTEN',
    });
  });
});
