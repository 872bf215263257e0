import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { newId } from '../../../../lib/jobs/id.js';
import { Journal } from '../../../../lib/jobs/store/local/journal.js';
import { JobRecords } from '../../../../lib/jobs/store/local/records.js';
import type { StoredJob } from '../../../../lib/jobs/store/local/stored-job.js';

let folder: string;
let path: string;
let opened: JobRecords[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'safelight-records-'));
  path = join(folder, 'jobs.jsonl');
  opened = [];
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const records of opened) await records.close();
  rmSync(folder, { recursive: true, force: true });
});

const warnings: string[] = [];
/** Opens the records as the next process does. What was opened before is not closed, as after `kill -9`. */
const open = (): JobRecords => {
  warnings.length = 0;
  const records = JobRecords.open(folder, (warning) => warnings.push(warning));
  opened.push(records);
  return records;
};
const queued = (more: Partial<StoredJob> = {}): StoredJob => ({
  ...{ id: newId(), type: 'text-to-image', model: 'a', status: 'queued', client: 'own', extra: null },
  ...{ options: { prompt: 'ein düsterer Apfel' }, previews: {}, created: new Date().toISOString() },
  ...{ attempts: 0, images: [], warnings: [], order: 1, ...more },
});
const done = (job: StoredJob): StoredJob => ({
  ...{ ...job, status: 'done', attempts: 1, started: job.created, finished: new Date().toISOString() },
  images: [{ name: '0.png', type: 'image/png', width: 8, height: 8, parameters: '' }],
});
const linesOnDisk = (): string[] => readFileSync(path, 'utf8').split('\n').slice(0, -1);
const failOnce = () =>
  vi.spyOn(Journal.prototype, 'append').mockImplementationOnce(() => {
    throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
  });

describe('job records', () => {
  it('are read by the next process as they were last written, in all orders', () => {
    const records = open();
    const jobs = Array.from({ length: 5 }, (_, i) => queued({ order: 5 - i }));
    for (const job of jobs) records.add(job);
    // Two changes in quick succession.
    records.put({ ...jobs[1]!, status: 'running' });
    records.put(done(jobs[1]!));
    records.put({ ...jobs[2]!, status: 'running' });
    records.remove(jobs[0]!.id);
    const again = open();
    for (const each of [records, again]) {
      expect(each.list().map(({ id }) => id)).toEqual([4, 3, 2, 1].map((i) => jobs[i]!.id));
      expect(each.unfinished().map(({ id }) => id)).toEqual([4, 3, 2].map((i) => jobs[i]!.id));
      expect([...each.ended().keys()]).toEqual([jobs[1]!.id]);
      expect(each.get(jobs[0]!.id)).toBeUndefined();
    }
    expect(again.list()).toEqual(records.list());
    expect(warnings).toEqual([]);
  });

  it('are listed newest first by id, even if the clock was set back in the meantime', () => {
    const records = open();
    const jobs = ['5', '3', '9', '1', '7'].map((digit) => queued({ id: digit.repeat(30) }));
    for (const job of jobs) records.add(job);
    const digits = (filter = {}) => records.list(filter).map(({ id }) => id[0]);
    expect(digits()).toEqual(['9', '7', '5', '3', '1']);
    expect(digits({ before: '7'.repeat(30), limit: 2 })).toEqual(['5', '3']);
    expect(digits({ before: '6'.repeat(30), limit: 1 })).toEqual(['5']); // a job that was removed
    records.remove('5'.repeat(30));
    expect(digits({ before: '7'.repeat(30) })).toEqual(['3', '1']);
    expect(digits({ status: 'done' })).toEqual([]);
  });

  it('keep an idempotency key until its job is removed', () => {
    const records = open();
    const [first, second] = [queued({ key: 'k', digest: 'd1' }), queued({ key: 'k', digest: 'd2' })];
    records.add(first);
    records.put(done(first));
    expect(open().keyed('k')).toEqual({ id: first.id, digest: 'd1' });
    const again = open();
    again.remove(first.id);
    expect(again.keyed('k')).toBeUndefined();
    again.add(second);
    expect(open().keyed('k')).toEqual({ id: second.id, digest: 'd2' });
    expect(open().keyed('other')).toBeUndefined();
  });

  it('are not affected by later changes of the objects that were stored', () => {
    const records = open();
    const options = { prompt: 'an apple' };
    const job = queued({ options });
    records.add(job);
    options.prompt = 'a pear';
    expect(records.get(job.id)?.options).toEqual({ prompt: 'an apple' });
  });

  it('return nothing and accept nothing once they are closed', async () => {
    const records = open();
    const job = queued({ key: 'k', digest: 'd' });
    records.add(job);
    await records.close();
    expect([records.closed, records.get(job.id), records.keyed('k')]).toEqual([true, undefined, undefined]);
    expect([records.list(), records.unfinished(), records.ended().size]).toEqual([[], [], 0]);
    for (const change of [() => records.add(job), () => records.put(job), () => records.remove(job.id)])
      expect(change).toThrow(expect.objectContaining({ code: 'DISPOSED' }));
    records.flush();
    expect(linesOnDisk()).toHaveLength(1);
  });

  it('cause FILE_NOT_WRITTEN if their file cannot be opened', () => {
    mkdirSync(path);
    expect(() => JobRecords.open(folder)).toThrow(expect.objectContaining({ code: 'FILE_NOT_WRITTEN' }));
    writeFileSync(join(folder, 'file'), '');
    expect(() => JobRecords.open(join(folder, 'file'))).toThrow(
      expect.objectContaining({ code: 'FILE_NOT_WRITTEN' }),
    );
  });
});

describe('job records after a crash', () => {
  it('contain each job whose line was complete, wherever the file was cut off', async () => {
    const records = open();
    const [first, second, third] = [queued(), queued({ key: 'k', digest: 'd' }), queued()];
    records.add(first);
    records.add(second);
    records.put(done(first));
    records.remove(first.id);
    records.add(third);
    const bytes = readFileSync(path);
    const ends: number[] = [];
    for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) ends.push(at);
    const lengths = Array.from({ length: 40 }, (_, i) => Math.floor((i * bytes.length) / 40));
    for (const length of [...lengths, ...ends.flatMap((end) => [end - 1, end, end + 1])]) {
      writeFileSync(path, bytes.subarray(0, length));
      const left = open();
      // The last line counts if only its line feed is missing.
      const lines = ends.filter((end) => end <= length).length;
      const statuses = [first, second, third].map(({ id }) => left.get(id)?.status);
      expect(statuses).toEqual([
        ...[[undefined, 'queued', 'queued', 'done', undefined, undefined][lines]],
        ...[lines >= 2 ? 'queued' : undefined, lines >= 5 ? 'queued' : undefined],
      ]);
      const isCut = length > 0 && !ends.includes(length) && !ends.includes(length - 1);
      expect(warnings).toHaveLength(isCut ? 1 : 0);
      const next = queued();
      left.add(next);
      await left.close();
      const reread = open();
      expect(reread.get(next.id)).toEqual(next);
      expect(warnings).toEqual([]);
      await reread.close();
    }
  });

  it('set damaged lines aside, report them and keep all others', async () => {
    const records = open();
    const [first, second] = [queued(), queued()];
    records.add(first);
    records.add(second);
    await records.close();
    const [one, two] = linesOnDisk();
    const damaged = [
      ...['{"id":', 'null', '[]', '"text"', '{}', '\0\0\0', '{"removed":"../x"}'],
      JSON.stringify({ ...first, id: '../x' }),
      JSON.stringify({ ...first, status: 'paused' }),
      JSON.stringify({ ...first, status: 'done' }), // without the time of its end
      JSON.stringify({ ...first, images: null }),
    ];
    writeFileSync(path, `${one}\n${damaged.join('\n')}\n`);
    writeFileSync(path, Buffer.from([0xff, 0xfe, 0x0a]), { flag: 'a' });
    writeFileSync(path, `${two}\n`, { flag: 'a' });
    writeFileSync(join(folder, 'notes.txt'), 'mine');
    const again = open();
    expect(again.list()).toEqual([second, first]);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(`${damaged.length + 1} damaged lines`);
    const aside = join(folder, 'jobs-damaged.jsonl');
    expect(warnings[0]).toContain(aside);
    expect(readFileSync(aside)).toEqual(
      Buffer.concat([Buffer.from(`${damaged.join('\n')}\n`), Buffer.from([0xff, 0xfe, 0x0a])]),
    );
    expect(linesOnDisk()).toEqual([one, two]);
    open();
    expect(warnings).toEqual([]);
    expect(readdirSync(folder).sort()).toEqual(['jobs-damaged.jsonl', 'jobs.jsonl', 'notes.txt']);
  });

  it('leave damaged lines in place if they cannot be moved', () => {
    const job = queued();
    const text = `${JSON.stringify(job)}\n{"id"`;
    writeFileSync(path, text);
    mkdirSync(join(folder, 'jobs-damaged.jsonl'));
    const records = open();
    expect(records.list()).toEqual([job]);
    expect(warnings[0]).toMatch(/1 damaged line in .*: ignored/);
    expect(readFileSync(path, 'utf8')).toBe(text);
    records.put(done(job));
    expect(open().get(job.id)?.status).toBe('done');
  });
});

describe('job records whose disk is full', () => {
  it('refuse a new job, which is then not in the file', () => {
    const records = open();
    failOnce();
    const job = queued({ key: 'k', digest: 'd' });
    expect(() => records.add(job)).toThrow(expect.objectContaining({ code: 'FILE_NOT_WRITTEN' }));
    expect([records.get(job.id), records.keyed('k')]).toEqual([undefined, undefined]);
    records.flush();
    expect(readFileSync(path, 'utf8')).toBe('');
    records.add(job);
    expect(open().get(job.id)).toEqual(job);
  });

  it('keep changes and removals in memory until they are flushed', () => {
    const records = open();
    const failures: unknown[] = [];
    records.onFailure = (error) => failures.push(error);
    const [first, second] = [queued(), queued({ key: 'k', digest: 'd' })];
    records.add(first);
    records.add(second);
    failOnce();
    records.put(done(first));
    failOnce();
    records.remove(second.id);
    expect(failures).toEqual([
      expect.objectContaining({ code: 'ENOSPC' }),
      expect.objectContaining({ code: 'ENOSPC' }),
    ]);
    expect(records.list()).toEqual([expect.objectContaining({ id: first.id, status: 'done' })]);
    expect(linesOnDisk()).toHaveLength(2);
    failOnce();
    expect(() => records.flush()).toThrow('no space left');
    records.flush();
    expect(linesOnDisk()).toHaveLength(4);
    records.flush();
    expect(linesOnDisk()).toHaveLength(4);
    expect(open().list()).toEqual(records.list());
  });

  it('still open and accept changes if the file cannot be rewritten', () => {
    const job = queued();
    const records = open();
    records.add(job);
    records.put({ ...job, order: 2 });
    vi.spyOn(Journal.prototype, 'rewrite').mockImplementation(() => {
      throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    });
    const again = open();
    expect(warnings).toEqual([]);
    again.put(done(job));
    expect(linesOnDisk()).toHaveLength(3);
    vi.restoreAllMocks();
    expect(open().get(job.id)?.status).toBe('done');
    expect(linesOnDisk()).toHaveLength(1);
  });
});

describe('the file of job records', () => {
  it('keeps no trace of a removed job after the next start', () => {
    const records = open();
    const [first, second] = [queued({ options: { prompt: 'a secret' } }), queued()];
    records.add(first);
    records.add(second);
    records.remove(first.id);
    open();
    expect(linesOnDisk()).toEqual([JSON.stringify(second)]);
    expect(existsSync(`${path}.tmp`)).toBe(false);
  });

  /** Skips the syncs, which would make the tests slow. */
  const withoutSync = () => {
    const append = Journal.prototype.append;
    vi.spyOn(Journal.prototype, 'append').mockImplementation(function (this: Journal, lines) {
      append.call(this, lines, { sync: false });
    });
  };
  const changeUntilRewriting = (records: JobRecords, jobs: readonly StoredJob[]): void => {
    for (let i = 0; i < 500 && !existsSync(`${path}.tmp`); i++) records.put({ ...jobs[i % 50]!, order: 2 });
    expect(existsSync(`${path}.tmp`)).toBe(true);
  };
  const large = () => queued({ options: { prompt: 'x'.repeat(20_000) } });

  it('stays below 3 MiB while records change hundreds of times', async () => {
    withoutSync();
    const records = open();
    const jobs = Array.from({ length: 20 }, large);
    for (const job of jobs) records.add(job);
    let largest = 0;
    for (let i = 0; i < 600; i++) {
      records.put({ ...jobs[i % jobs.length]!, order: i });
      largest = Math.max(largest, statSync(path).size);
      await new Promise((resolve) => setTimeout(resolve, i % 10 === 0 ? 5 : 0));
    }
    expect(largest).toBeGreaterThan(1 << 20);
    expect(largest).toBeLessThan(3 << 20);
    const expected = records.list();
    await records.close();
    const again = open();
    expect(again.get(jobs[0]!.id)?.order).toBe(580);
    expect(again.list().map(({ order }) => order)).toEqual(expected.map(({ order }) => order));
  });

  it('contains all changes that are made while it is rewritten, also those that could not be written', async () => {
    withoutSync();
    const records = open();
    const jobs = Array.from({ length: 100 }, large);
    for (const job of jobs) records.add(job);
    const inode = statSync(path).ino;
    changeUntilRewriting(records, jobs);
    // The first slices are written; the last jobs have not been copied yet.
    expect(statSync(`${path}.tmp`).size).toBeLessThan(1e6);
    const added = queued({ key: 'k', digest: 'd' });
    records.add(added);
    for (const at of [1, 98]) records.put(done(jobs[at]!));
    for (const at of [2, 97]) records.remove(jobs[at]!.id);
    failOnce();
    records.put(done(jobs[3]!));
    failOnce();
    records.remove(jobs[4]!.id);
    await vi.waitFor(() => expect(statSync(path).ino).not.toBe(inode));
    expect(statSync(path).size).toBeLessThan(2.3e6);
    records.put(done(jobs[5]!));
    const left = open();
    expect(left.list({ limit: 1000 })).toEqual(records.list({ limit: 1000 }));
    expect(left.list({ limit: 1000 })).toHaveLength(98);
    expect([...left.ended().keys()].sort()).toEqual([1, 3, 5, 98].map((at) => jobs[at]!.id).sort());
    expect(left.keyed('k')?.id).toBe(added.id);
    expect(warnings).toEqual([]);
  });

  it('is complete, without a temporary file, if it is closed while it is rewritten', async () => {
    withoutSync();
    const records = open();
    const jobs = Array.from({ length: 100 }, large);
    for (const job of jobs) records.add(job);
    changeUntilRewriting(records, jobs);
    records.put(done(jobs[99]!));
    const expected = records.list();
    await records.close();
    expect(readdirSync(folder)).toEqual(['jobs.jsonl']);
    expect(open().list()).toEqual(expected);
  });

  it('holds 5,000 jobs', () => {
    const jobs = Array.from({ length: 5000 }, () => queued());
    writeFileSync(path, jobs.map((job) => `${JSON.stringify(job)}\n`).join(''));
    const records = open();
    expect(records.unfinished()).toHaveLength(5000);
    expect(records.list({ limit: 2 }).map(({ id }) => id)).toEqual([jobs.at(-1)!.id, jobs.at(-2)!.id]);
    expect(records.list({ before: jobs[4000]!.id, limit: 1 })[0]?.id).toBe(jobs[3999]!.id);
    records.remove(jobs[2000]!.id);
    expect(records.list({ before: jobs[2001]!.id, limit: 1 })[0]?.id).toBe(jobs[1999]!.id);
  });
});
