import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { config, planOf, removeFiles, writeFile } from './tiny.js';

const child = fileURLToPath(new URL('child.mjs', import.meta.url));
// 8 MB of weights, so that leaked modules are measurable and loading takes some time.
const wide = { ...config, hidden_size: 256, intermediate_size: 512, num_hidden_layers: 4 };
let plan: string;

beforeAll(() => {
  plan = writeFile(Buffer.from(JSON.stringify({ config: wide, plan: planOf(wide) })), 'plan.json');
});
afterAll(removeFiles);

/** Runs a scenario of child.mjs. A crash results in a signal, a hang in the test's timeout. */
function scenario(name: string): Promise<{ status: number | null; signal: string | null; output: string }> {
  return new Promise((resolve, reject) => {
    const process_ = spawn(process.execPath, ['--expose-gc', child, name, plan], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [process_.stdout, process_.stderr]) {
      stream.on('data', (data) => {
        output += data;
      });
    }
    process_.on('error', reject);
    process_.on('close', (status, signal) => resolve({ status, signal, output: output.trim() }));
  });
}

it('a process exits when nothing runs, even if its module is not disposed', async () => {
  expect(await scenario('leave')).toEqual({ status: 0, signal: null, output: String(8 * 256) });
});

it('a process can exit during a run', async () => {
  expect(await scenario('exit')).toEqual({ status: 7, signal: null, output: 'leaving' });
});

it('a process can exit while it loads modules', async () => {
  expect(await scenario('exitLoading')).toEqual({ status: 7, signal: null, output: 'leaving' });
});

it('a module can be disposed during a run', async () => {
  expect(await scenario('disposeRunning')).toEqual({ status: 0, signal: null, output: 'DISPOSED,DISPOSED' });
});

it('the garbage collector frees a module that is not disposed', async () => {
  const { status, output } = await scenario('collect');
  expect(status).toBe(0);
  // Twenty leaked modules would use 160 MB.
  expect(Number(output)).toBeLessThan(60e6);
});

it('the garbage collector frees kept outputs of a disposed module', async () => {
  const { status, output } = await scenario('collectKept');
  expect(status).toBe(0);
  // 24 leaked outputs would use 96 MB.
  expect(Number(output)).toBeLessThan(50e6);
});

it('a process can exit while it reads, uses and computes kept outputs', async () => {
  expect(await scenario('exitKept')).toEqual({ status: 7, signal: null, output: 'leaving' });
});

it('a run protects its module from the garbage collector', async () => {
  expect(await scenario('collectRunning')).toEqual({ status: 0, signal: null, output: String(32 * 8 * 256) });
});

it('works in several worker_threads at once, with the same results', async () => {
  expect(await scenario('workers')).toEqual({ status: 0, signal: null, output: 'true' });
});

it('survives worker_threads that are terminated at any moment', async () => {
  expect(await scenario('terminate')).toEqual({ status: 0, signal: null, output: 'survived' });
}, 120_000);

it('does not let JavaScript construct module handles', async () => {
  const { status, output } = await scenario('construct');
  expect(status).toBe(0);
  expect(output).toBe('TypeError: A module cannot be constructed; use createModule\ntrue');
});
