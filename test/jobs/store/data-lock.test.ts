import { appendFile, mkdtemp, readFile, rm, truncate } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataLock } from '../../../lib/jobs/store/data-lock.js';

describe('the lock of a data folder', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'safelight-lock-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));
  const rewrite = async (text: string) => {
    await truncate(join(folder, 'lock'));
    await appendFile(join(folder, 'lock'), text);
  };

  it('names the process and its address to another one', async () => {
    const lock = await DataLock.acquire(folder);
    await lock.note({ url: 'http://127.0.0.1:7860' });
    const refused = expect(DataLock.acquire(folder)).rejects;
    await refused.toMatchObject({ code: 'DATA_IN_USE' });
    await expect(DataLock.acquire(folder)).rejects.toThrow(
      new RegExp(`${process.pid}.*http://127.0.0.1:7860`),
    );
    await lock.close();
  });

  it('is refused without details if its text is damaged, and names another host', async () => {
    const lock = await DataLock.acquire(folder);
    await rewrite('[1');
    await expect(DataLock.acquire(folder)).rejects.toMatchObject({
      code: 'DATA_IN_USE',
      message: expect.stringContaining('another process'),
    });
    await rewrite('"text"');
    await expect(DataLock.acquire(folder)).rejects.toThrow(/another process/);
    await rewrite(JSON.stringify({ pid: 7, host: `not-${hostname()}` }));
    await expect(DataLock.acquire(folder)).rejects.toThrow(`not-${hostname()}`);
    await lock.close();
  });

  it('can be acquired again after it is closed', async () => {
    await (await DataLock.acquire(folder)).close();
    expect(await readFile(join(folder, 'lock'), 'utf8')).toBe('');
    const again = await DataLock.acquire(folder);
    await again.close();
  });

  it('causes FILE_NOT_WRITTEN if the folder does not exist', async () => {
    await expect(DataLock.acquire(join(folder, 'none'))).rejects.toMatchObject({ code: 'FILE_NOT_WRITTEN' });
  });
});
