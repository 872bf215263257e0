import { existsSync, readdirSync } from 'node:fs';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { writeFolder } from '../support/checkpoint/folders.js';
import { reference } from '../support/checkpoint/reference-names.js';
import { run, start, workFolder } from '../support/cli.js';
import { writeSingleFile } from '../support/tiny-models.js';

const work = workFolder();
const packed = work.file('cache/packed');
beforeAll(() => void vi.stubEnv('SAFELIGHT_CACHE', work.file('cache')));
afterAll(() => {
  vi.unstubAllEnvs();
  work.remove();
});

test('packs, lists and removes a model', async () => {
  const model = writeSingleFile('sd1', work.file('sd1.safetensors'));
  const { code, stdout, stderr } = await run(['pack', model, '--storage', 'q8_0', '--json']);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const { modules, seconds } = JSON.parse(stdout);
  expect(seconds).toBeGreaterThan(0);
  expect(modules).toHaveLength(3);
  expect(modules[1]).toMatchObject({ model, module: 'U-Net', storage: 'q8_0', state: 'packed' });
  expect(existsSync(modules[1].file)).toBe(true);
  const listed = await run(['pack', '--list']);
  expect(listed.stdout).toMatch(/sd1\.safetensors +autoencoder +q8_0 +- +\d.* kept\n/);
  const removed = await run(['pack', model, '--remove']);
  expect(removed.stdout.match(/removed/g)).toHaveLength(3);
  expect(readdirSync(packed)).toEqual([]);
});

test('leaves no file behind when Ctrl-C interrupts writing 246 MB', async () => {
  const model = await writeFolder(work.file('large'), reference.sd1!);
  const { child, result } = start(['pack', model, '--storage', 'q4_0', '--quiet']);
  await vi.waitFor(() => expect(readdirSync(packed).join()).toMatch(/\.tmp/), {
    timeout: 60_000,
    interval: 5,
  });
  child.kill('SIGINT');
  expect((await result).code).toBe(130);
  expect(readdirSync(packed)).toEqual([]);
}, 90_000);

test('rejects a missing model and contradictory flags', async () => {
  for (const args of [[], ['a', '--list', '--remove']]) {
    const { code, stderr } = await run(['pack', ...args]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/--list/);
  }
});
