import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const dist = fileURLToPath(new URL('../../dist/', import.meta.url));

/** Runs a module that exits while the starter model generates, or before anything is loaded. */
function exitOf(start: string): { readonly status: number | null; readonly stdout: string } {
  const script = `
    import { Pipeline } from ${JSON.stringify(`${dist}index.js`)};
    process.on('exit', (code) => console.log('listener', code));
    ${start}
  `;
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
  });
  return { status, stdout };
}

it('lets process.exit end a process whose threads compute, after all listeners of exit', () => {
  const generating = `
    const pipeline = await Pipeline.load();
    process.on('exit', () => console.log('later listener'));
    await pipeline.generate({ prompt: 'a', steps: 900, onProgress: ({ step }) => { if (step > 2) process.exit(7); } });
  `;
  for (let i = 0; i < 3; i++)
    expect(exitOf(generating)).toEqual({ status: 7, stdout: 'listener 7\nlater listener\n' });
});

it('ends the process if no native library is loaded', () => {
  expect(exitOf('process.exit(3);')).toEqual({ status: 3, stdout: 'listener 3\n' });
});
