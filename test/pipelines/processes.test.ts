import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

/** Runs a scenario of pipeline-process.mjs and rejects if the process crashes. */
async function scenario(name: string): Promise<string> {
  const path = fileURLToPath(new URL('../support/pipeline-process.mjs', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', path, name], {
    timeout: 60_000,
  });
  return stdout.trim();
}

it('pipelines work in several worker_threads at once, and a worker may end during a generation', async () => {
  expect(await scenario('threads')).toBe('equal');
});

it('generations and disposed pipelines free their memory', async () => {
  // If they were not freed, the pipelines alone would take 360 MB.
  expect(Number(await scenario('memory'))).toBeLessThan(24e6);
});

it('a process exits normally with a pipeline that was not disposed', async () => {
  expect(await scenario('leave')).toBe('1');
});
