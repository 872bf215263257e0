/** A data folder on a disk that fills up, and one that two servers want to use. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { server as startProcess } from '../../bench/faults/processes.mjs';
import { start } from '../support/cli.js';
import { call, startServer } from '../support/server/test-server.js';
import { withoutMount } from '../support/small-disk.js';

const request = { type: 'text-to-image', prompt: 'a red apple', steps: 2, seed: 1 };
const until = async (condition: () => Promise<boolean>): Promise<void> => {
  for (let i = 0; i < 200 && !(await condition()); i++) await new Promise((done) => setTimeout(done, 50));
  expect(await condition()).toBe(true);
};

describe.skipIf(withoutMount)(`a server on a full disk${withoutMount ? `: ${withoutMount}` : ''}`, () => {
  let disk: string;
  const fill = (left = 0): void => {
    const { bavail, bsize } = statfsSync(disk);
    writeFileSync(join(disk, 'fill'), Buffer.alloc(Math.max(0, bavail * bsize - left)));
  };
  const free = (): void => rmSync(join(disk, 'fill'));
  const post = (url: string) =>
    call<{ id: string; error: { code: string; message: string } }>(`${url}/v1/jobs`, {
      method: 'POST',
      json: request,
    });
  const ready = async (url: string) => (await call<{ why?: string }>(`${url}/health/ready`)).status;
  const statusOf = async (url: string, id: string) => (await call(`${url}/v1/jobs/${id}`)).body.status;

  beforeEach(() => {
    disk = mkdtempSync(join(tmpdir(), 'safelight-disk-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', disk]);
  });
  afterEach(() => {
    execFileSync('umount', ['-l', disk]);
    rmSync(disk, { recursive: true, force: true });
  });

  it('rejects jobs with 507, is not ready, stays alive and resumes once space is freed', async () => {
    const { command, url } = await startProcess(disk, ['--threads', '1']);
    expect(await ready(url)).toBe(200);
    fill();
    for (let i = 0; i < 3; i++) {
      const rejected = await post(url);
      expect(rejected.status).toBe(507);
      expect(rejected.body.error).toMatchObject({
        code: 'FILE_NOT_WRITTEN',
        message: expect.stringContaining('free some space'),
      });
    }
    expect(await ready(url)).toBe(503);
    expect((await call(`${url}/health/live`)).status).toBe(200);
    free();
    await until(async () => (await ready(url)) === 200);
    const { status, body } = await post(url);
    expect(status).toBe(201);
    await until(async () => (await statusOf(url, body.id)) === 'done');
    expect(await command.kill('SIGTERM')).toBe(0);
  });

  it('ends a running job whose images do not fit, keeps the others queued and runs them later', async () => {
    const { url, close } = await startServer({ data: disk, threads: 1 });
    const long = { ...request, width: 256, height: 256, steps: 8, count: 2, batch: 1 };
    const running = await call<{ id: string }>(`${url}/v1/jobs`, { method: 'POST', json: long });
    const waiting = await post(url);
    await until(async () => (await statusOf(url, running.body.id)) === 'running');
    fill();
    await until(async () => (await statusOf(url, running.body.id)) === 'failed');
    const failed = await call(`${url}/v1/jobs/${running.body.id}`);
    expect(failed.body.error).toMatchObject({ code: 'FILE_NOT_WRITTEN' });
    expect(await statusOf(url, waiting.body.id)).toBe('queued');
    expect(await ready(url)).toBe(503);
    free();
    await until(async () => (await statusOf(url, waiting.body.id)) === 'done');
    await close();
    // Data that was only in memory while the disk was full has been written.
    const again = await startServer({ data: disk, threads: 1 });
    expect(await statusOf(again.url, running.body.id)).toBe('failed');
    expect(await statusOf(again.url, waiting.body.id)).toBe('done');
    await again.close();
  });

  it('removes jobs while the disk is full, which frees space', async () => {
    const { url, close } = await startServer({ data: disk, threads: 1 });
    const { body } = await post(url);
    await until(async () => (await statusOf(url, body.id)) === 'done');
    fill();
    expect((await call(`${url}/v1/jobs/${body.id}/results`, { method: 'DELETE' })).status).toBe(204);
    expect((await call(`${url}/v1/jobs/${body.id}`)).status).toBe(404);
    await close();
  });
});

describe('two servers on one data folder', () => {
  let data: string;
  beforeEach(() => {
    data = mkdtempSync(join(tmpdir(), 'safelight-lock-'));
  });
  afterEach(() => rmSync(data, { recursive: true, force: true }));

  it('rejects the second server with the name of the first, also through another path', async () => {
    const { command, url } = await startProcess(data, ['--threads', '1']);
    const other = join(data, '..', `${data.split('/').pop()}-link`);
    symlinkSync(data, other);
    try {
      for (const path of [data, other]) {
        const { code, stderr, stdout } = await start(['serve', '--port', '0', '--data', path]).result;
        expect(code).toBe(1);
        expect(stdout).not.toContain('listening at');
        expect(stderr).toContain(`in use by process ${command.child?.pid}`);
        expect(stderr).toContain(url);
        expect(stderr).toContain('--data');
      }
    } finally {
      rmSync(other);
    }
    // The first server is not affected.
    expect((await call(`${url}/v1/jobs`, { method: 'POST', json: request })).status).toBe(201);
    expect(await command.kill('SIGTERM')).toBe(0);
  });

  it('releases the folder when the first server is killed, and when it stops', async () => {
    const first = await startProcess(data, ['--threads', '1']);
    await first.command.kill('SIGKILL');
    const second = await startServer({ data });
    await expect(startServer({ data })).rejects.toMatchObject({ code: 'DATA_IN_USE' });
    await second.close();
    const third = await startServer({ data });
    await third.close();
  });

  it('releases the folder when the port is in use', async () => {
    const server = await startServer();
    const port = Number(new URL(server.url).port);
    mkdirSync(data, { recursive: true });
    await expect(startServer({ data, port })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await (await startServer({ data })).close();
    await server.end();
  });
});
