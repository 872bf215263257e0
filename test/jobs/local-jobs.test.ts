/** Jobs that run in the process of the service; test/jobs/conformance covers what all stores have in common. */
import { copyFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openLocalJobs } from '../../lib/jobs/open.js';
import type { JobService } from '../../lib/jobs/service/job-service.js';
import { DataFolder } from '../../lib/jobs/store/data-folder.js';
import { request, until, Work } from './conformance/work.js';

let folder: string;
let work: Work;
let service: JobService;

async function open(onWarning?: (message: string) => void): Promise<JobService> {
  const data = await DataFolder.open(folder);
  const prepare = ({ options }: typeof request) => ({ model: 'starter', options });
  return openLocalJobs({ data, prepare, run: (job, context) => work.run(job, context), onWarning });
}

const isDone = (id: string) => until(async () => (await service.get(id))?.status === 'done');

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'safelight-jobs-'));
  work = new Work();
  service = await open();
});
afterEach(async () => {
  await service.close({ drain: false });
  await rm(folder, { recursive: true, force: true });
});

describe('openLocalJobs', () => {
  it('retries a job that a killed process left running, before the jobs that waited', async () => {
    const [first, second] = [await service.submit(request), await service.submit(request)];
    await work.context(first.id);
    // Keeps the records as kill -9 would leave them.
    const [records, left] = [join(folder, 'queue', 'jobs.jsonl'), join(folder, 'left')];
    await copyFile(records, left);
    await service.close({ drain: false });
    await rename(left, records);
    work = new Work();
    service = await open();
    await work.context(first.id);
    expect((await service.get(first.id))?.attempts).toBe(2);
    await work.end(first.id);
    await work.end(second.id);
    await isDone(second.id);
    expect(work.begun).toEqual([first.id, second.id]);
  });

  it('warns about damaged records and about the queue of an older version, and keeps all other jobs', async () => {
    const { id } = await service.submit(request);
    await service.close({ drain: false });
    await writeFile(join(folder, 'queue', 'jobs.jsonl'), '{"id', { flag: 'a' });
    await writeFile(join(folder, 'queue', 'jobs.lmdb'), '');
    const warnings: string[] = [];
    service = await open((warning) => warnings.push(warning));
    expect(warnings).toEqual([
      expect.stringContaining('1 damaged line in'),
      expect.stringContaining(`${join(folder, 'queue', 'jobs.lmdb')} are from a development version`),
    ]);
    expect((await service.get(id))?.attempts).toBe(1);
  });

  it("stores the images of a request in the job's folder and removes them with it", async () => {
    const png = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
      .png()
      .toBuffer();
    const options = { prompt: '', init: `data:image/png;base64,${png.toString('base64')}` };
    const job = await service.submit({ type: 'image-to-image', options });
    const data = await DataFolder.open(folder);
    expect(Buffer.from(await data.readInput(job.id, 'init'))).toEqual(png);
    await work.end(job.id);
    await isDone(job.id);
    expect(await service.remove(job.id)).toBe(true);
    await expect(data.readInput(job.id, 'init')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });
});
