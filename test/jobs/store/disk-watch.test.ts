import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DiskWatch, isDiskError } from '../../../lib/jobs/store/disk.js';

describe('isDiskError', () => {
  it.each([
    [Object.assign(new Error('full'), { code: 'ENOSPC' }), true],
    [new Error('not written', { cause: Object.assign(new Error('quota'), { code: 'EDQUOT' }) }), true],
    [Object.assign(new Error('missing'), { code: 'ENOENT' }), false],
    [new Error('other'), false],
    ['ENOSPC', false],
  ])('tells errors of the disk from others: %s is %s', (error, expected) => {
    expect(isDiskError(error)).toBe(expected);
  });
});

describe('the watch of a disk', () => {
  let folder: string;
  let watch: DiskWatch;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'safelight-disk-'));
    watch = new DiskWatch(join(folder, 'data'));
    await mkdir(join(folder, 'data'));
  });
  afterEach(async () => {
    watch.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('reports no problem on a disk with space, or if the free space is unknown', async () => {
    expect(watch.problem).toBeUndefined();
    expect(() => watch.check()).not.toThrow();
    expect(new DiskWatch(join(folder, 'none')).problem).toBeUndefined();
  });

  it('refuses jobs after a failed write, until the disk accepts one again', async () => {
    const recovered = new Promise<void>((resolve) => {
      watch.onRecovery = resolve;
    });
    await rm(join(folder, 'data'), { recursive: true });
    watch.failed('the device is gone');
    expect(watch.problem).toContain('the device is gone');
    expect(() => watch.check()).toThrow(expect.objectContaining({ code: 'FILE_NOT_WRITTEN' }));
    // The first attempt fails after 1 s, the second one after 2 s succeeds.
    setTimeout(() => void mkdir(join(folder, 'data')), 1200);
    await recovered;
    expect(watch.problem).toBeUndefined();
    expect(await readdir(join(folder, 'data'))).toEqual([]);
  });

  it('is tried again if the recovery itself fails', async () => {
    let attempts = 0;
    const recovered = new Promise<void>((resolve) => {
      watch.onRecovery = () => {
        if (++attempts === 1) throw new Error('still full');
        resolve();
      };
    });
    watch.failed(new Error('full'));
    await recovered;
    expect(attempts).toBe(2);
  });

  it('is not tried after it is stopped', async () => {
    watch.onRecovery = () => expect.unreachable();
    watch.failed(new Error('full'));
    watch.stop();
    watch.wait();
    await new Promise((resolve) => setTimeout(resolve, 1300));
    expect(watch.problem).toContain('full');
  });
});
