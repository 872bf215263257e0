/** Records on a disk that temporarily accepts no writes. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LocalStage, localKind } from '../../conformance/local-stage.js';
import { request, until, Work } from '../../conformance/work.js';

describe('local jobs on a full disk', () => {
  let stage: LocalStage;
  beforeEach(async () => {
    stage = await localKind.open();
  });
  afterEach(() => stage.end());

  /** Returns the status on disk, as the next process would read it. */
  const onDisk = async (id: string): Promise<string | undefined> => {
    const text = await readFile(join(stage.folder, 'queue', 'jobs.jsonl'), 'utf8');
    const lines = text.trim().split('\n');
    return lines.map((line) => JSON.parse(line)).findLast((job) => job.id === id)?.status;
  };

  it('keep the end of a job in memory, begin no other job, and write it once there is space', async () => {
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

  it('repeat a job whose end was never written', async () => {
    const work = new Work();
    const runner = await stage.startRunner(work.run);
    const { id } = await stage.service.submit(request);
    await work.context(id);
    await stage.setFailing(true);
    await work.end(id);
    await until(async () => (await stage.service.get(id))?.status === 'done');
    await runner.kill();
    expect(await stage.service.get(id)).toMatchObject({ status: 'queued', attempts: 1 });
  });
});
