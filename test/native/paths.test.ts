/** Paths that a system may spell in another encoding or limit to 260 characters. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tryLock } from '../../lib/binding/file-lock.js';
import { writeWeights } from '../../lib/binding/write-weights.js';
import { writeOutput } from '../../lib/files/write.js';
import { config, create, embeddingsOf, planOf, removeFiles } from './tiny.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'safelight-paths-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
  removeFiles();
});

const names = [
  { kind: 'with Unicode characters', parts: ['größe', '模型', '🎨 Ω'] },
  {
    kind: 'of more than 260 characters',
    parts: Array.from({ length: 8 }, (_, i) => `${i}-${'x'.repeat(50)}`),
  },
  { kind: 'with dots, spaces and percent signs', parts: ['a.b.c', ' d ', '100%', '%TEMP%'] },
];

describe.each(names)('a path $kind', ({ parts }) => {
  const inside = (): string => {
    const path = join(folder, ...parts);
    mkdirSync(path, { recursive: true });
    return path;
  };

  it('is read as the weights of a module', async () => {
    const plan = planOf(config);
    const files = plan.files.map((file, i) => {
      const copy = join(inside(), `${i}.bin`);
      cpSync(file, copy);
      return copy;
    });
    const there = await embeddingsOf({ ...plan, files });
    expect(there).toEqual(await embeddingsOf(plan));
    const module = await create({ ...plan, files });
    module.dispose();
  });

  it('is written by native code and by TypeScript', async () => {
    const plan = planOf(config);
    const [entry] = plan.entries;
    const path = join(inside(), 'weights.out');
    writeFileSync(path, '');
    const one = { ...plan, entries: [{ ...entry!, storage: 'f32' as const }] };
    await writeWeights({ path, plan: one, offsets: [64], threads: 1 });
    const { source } = entry!;
    const original = readFileSync(plan.files[0]!).subarray(source.offset, source.offset + source.length);
    expect(readFileSync(path).subarray(64)).toEqual(original);
    await writeOutput(join(inside(), 'image.png'), original);
    expect(readFileSync(join(inside(), 'image.png'))).toEqual(original);
  });

  it('is locked', () => {
    const path = join(inside(), 'file.lock');
    const lock = tryLock(path);
    expect(lock).toMatchObject({ release: expect.any(Function) });
    expect(tryLock(path)).toBe('busy');
    if (typeof lock === 'object') lock.release();
    expect(tryLock(path)).toMatchObject({ release: expect.any(Function) });
  });
});

it('reports the path of a file that cannot be locked', () => {
  const path = join(folder, 'none', 'file.lock');
  expect(() => tryLock(path)).toThrow(expect.objectContaining({ code: 'FILE_NOT_WRITTEN' }));
  expect(() => tryLock(path)).toThrow(path);
  expect(() => tryLock(7 as unknown as string)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
});
