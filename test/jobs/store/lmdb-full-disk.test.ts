/** Records on a disk that temporarily accepts no writes. */
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LmdbRecords } from '../../../lib/jobs/store/lmdb/records.js';
import { type LmdbStage, lmdbKind } from '../conformance/lmdb-stage.js';
import { request, until, Work } from '../conformance/work.js';

describe('LMDB on a full disk', () => {
  let stage: LmdbStage;
  beforeEach(async () => {
    stage = await lmdbKind.open();
  });
  afterEach(() => stage.end());

  /** Returns the status on disk, as the next process would read it. */
  const onDisk = async (id: string): Promise<string | undefined> => {
    const records = LmdbRecords.open(join(stage.folder, 'queue'));
    const status = records.get(id)?.status;
    await records.close();
    return status;
  };

  it('keeps the end of a job in memory, begins no other job, and writes it once there is space', async () => {
    const work = new Work();
    await stage.startRunner(work.run);
    const [first, second] = [await stage.service.submit(request), await stage.service.submit(request)];
    await work.context(first.id);
    await stage.setFailing(true);
    await work.end(first.id);
    await until(async () => (await stage.service.get(first.id))?.status === 'done');
    expect(await onDisk(first.id)).toBe('running');
    expect((await stage.service.get(second.id))?.status).toBe('queued');
    expect(stage.service.problem).toContain('free some space');
    await stage.setFailing(false);
    await until(async () => (await onDisk(first.id)) === 'done');
    await work.end(second.id);
    await until(async () => (await onDisk(second.id)) === 'done');
    expect(stage.service.problem).toBeUndefined();
  });
});
