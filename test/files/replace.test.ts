import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { removeFile, renameFile } from '../../lib/files/replace.js';
import { writeOutput } from '../../lib/files/write.js';

/** Error codes of the next calls of rename and rm; calls after them succeed. */
const failures = vi.hoisted((): string[] => []);
/** Numbers of calls of rename and rm. */
const calls = vi.hoisted(() => ({ rename: 0, rm: 0 }));

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  const failing = (name: 'rename' | 'rm') => {
    calls[name]++;
    const code = failures.shift();
    if (code !== undefined) throw Object.assign(new Error(`${code}: ${name}`), { code, syscall: name });
  };
  return {
    ...real,
    rename: async (...args: Parameters<typeof real.rename>) => {
      failing('rename');
      await real.rename(...args);
    },
    rm: async (...args: Parameters<typeof real.rm>) => {
      failing('rm');
      await real.rm(...args);
    },
  };
});

let folder: string;
const at = (name: string): string => join(folder, name);
const system = process.platform;
const pretend = (platform: NodeJS.Platform): void => {
  Object.defineProperty(process, 'platform', { value: platform });
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'safelight-replace-'));
});
beforeEach(async () => {
  failures.length = 0;
  calls.rename = calls.rm = 0;
  await writeFile(at('new'), 'new');
  await writeFile(at('old'), 'old');
});
afterEach(() => pretend(system));
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('on Windows', () => {
  beforeEach(() => pretend('win32'));

  it.each(['EPERM', 'EACCES', 'EBUSY'])('repeats a rename that fails with %s', async (code) => {
    failures.push(code, code, code);
    await renameFile(at('new'), at('old'));
    expect(await readFile(at('old'), 'utf8')).toBe('new');
    expect(calls.rename).toBe(4);
  });

  it('repeats the removal of a file', async () => {
    failures.push('EBUSY', 'EPERM');
    await removeFile(at('old'));
    await expect(readFile(at('old'))).rejects.toMatchObject({ code: 'ENOENT' });
    expect(calls.rm).toBe(3);
  });

  it('waits longer before each repetition and gives up after 2 s', async () => {
    failures.push(...Array.from({ length: 50 }, () => 'EBUSY'));
    const began = performance.now();
    await expect(renameFile(at('new'), at('old'))).rejects.toMatchObject({
      code: 'FILE_NOT_WRITTEN',
      message: expect.stringMatching(/old.*for 2 s \(EBUSY\)/),
      cause: { code: 'EBUSY' },
    });
    expect(performance.now() - began).toBeGreaterThan(1900);
    expect(calls.rename).toBeLessThan(12);
    expect(await readFile(at('old'), 'utf8')).toBe('old');
  });

  it('does not repeat a call that fails for another reason', async () => {
    failures.push('ENOSPC');
    await expect(renameFile(at('new'), at('old'))).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(calls.rename).toBe(1);
  });

  it('writes an output although its target is in use for a moment', async () => {
    failures.push('EPERM', 'EBUSY');
    await writeOutput(at('old'), Buffer.from('written'));
    expect(await readFile(at('old'), 'utf8')).toBe('written');
  });
});

it('fails at once on other systems, where these errors do not pass', async () => {
  pretend('linux');
  failures.push('EPERM');
  await expect(renameFile(at('new'), at('old'))).rejects.toMatchObject({ code: 'EPERM' });
  expect(calls.rename).toBe(1);
});
