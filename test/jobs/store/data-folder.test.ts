import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newId } from '../../../lib/jobs/id.js';
import { DataFolder } from '../../../lib/jobs/store/data-folder.js';

describe('the files of jobs', () => {
  let path: string;
  let folder: DataFolder;
  const id = newId();
  const data = Uint8Array.of(1, 2, 3);
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'safelight-data-'));
    folder = await DataFolder.open(path);
  });
  afterEach(() => rm(path, { recursive: true, force: true }));

  it('are read as they were written, results and inputs separately', async () => {
    await folder.writeResult(id, '0.png', data);
    await folder.writeInput(id, 'init', Uint8Array.of(4));
    expect([...(await folder.readResult(id, '0.png'))]).toEqual([1, 2, 3]);
    expect([...(await folder.readInput(id, 'init'))]).toEqual([4]);
    expect(await folder.result(id, '0.png')).toBe(join(path, 'jobs', id, '0.png'));
    expect(await readdir(join(path, 'jobs', id))).toEqual(['0.png', 'inputs']);
  });

  it('do not include a folder or a file that does not exist', async () => {
    await folder.writeInput(id, 'init', data);
    expect(await folder.result(id, 'inputs')).toBeUndefined();
    expect(await folder.result(id, '0.png')).toBeUndefined();
    await expect(folder.readResult(id, '0.png')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it.each([
    ['../x', '0.png'],
    [id, '../0.png'],
    [id, 'inputs/init'],
    [id, '.hidden'],
    [id, 'x'.repeat(65)],
  ])('cannot be addressed outside of their folder: job %j, file %j', async (job, name) => {
    expect(await folder.result(job, name)).toBeUndefined();
    await expect(folder.readResult(job, name)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(folder.readInput(job, name)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it('are not written under a name that is not a file name', async () => {
    await expect(folder.writeResult(id, '../0.png', data)).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  it('are removed with their job, and no other file is removed for an invalid id', async () => {
    await folder.writeResult(id, '0.png', data);
    await folder.remove('..');
    expect(await readdir(join(path, 'jobs'))).toEqual([id]);
    await folder.remove(id);
    expect(await readdir(join(path, 'jobs'))).toEqual([]);
  });

  it('cause FILE_NOT_WRITTEN if their folder cannot be created, and leave no partial file', async () => {
    await writeFile(join(path, 'file'), '');
    await expect(DataFolder.open(join(path, 'file'))).rejects.toMatchObject({ code: 'FILE_NOT_WRITTEN' });
    await writeFile(join(path, 'jobs', id), '');
    await expect(folder.writeResult(id, '0.png', data)).rejects.toMatchObject({ code: 'FILE_NOT_WRITTEN' });
    expect(await readdir(join(path, 'jobs'))).toEqual([id]);
  });
});
