/** Compares the NEON kernels with float64 on any processor, using a cross compiler and an emulator if both are installed. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectExact } from './outcomes.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const build = join(root, '.build/aarch64');
const emulator = ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu'] as const;
/** The kernels set their own optimization flags; ggml, which only creates test weights here, compiles faster without. */
const options = {
  CMAKE_BUILD_TYPE: 'None',
  CMAKE_C_FLAGS: '-O1',
  CMAKE_CXX_FLAGS: '-O1',
  CMAKE_SYSTEM_NAME: 'Linux',
  CMAKE_SYSTEM_PROCESSOR: 'aarch64',
  CMAKE_C_COMPILER: 'aarch64-linux-gnu-gcc',
  CMAKE_CXX_COMPILER: 'aarch64-linux-gnu-g++',
};

const missing = ['cmake', 'ninja', 'aarch64-linux-gnu-gcc', 'aarch64-linux-gnu-g++', emulator[0]].filter(
  (tool) => spawnSync(tool, ['--version']).status !== 0,
);
const skip = missing.length > 0 ? ` (skipped: no ${missing.join(', no ')} here)` : '';

function cmake(...args: string[]): void {
  const { status, stdout, stderr } = spawnSync('cmake', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`cmake ${args.join(' ')} failed:\n${stdout}${stderr}`);
}

describe.skipIf(skip !== '')(`the CPU kernels on 64-bit Arm${skip}`, () => {
  beforeAll(() => {
    const cache = join(build, 'CMakeCache.txt');
    if (
      existsSync(cache) &&
      !readFileSync(cache, 'utf8').includes(`CMAKE_HOME_DIRECTORY:INTERNAL=${root.replace(/\/$/, '')}\n`)
    )
      rmSync(build, { recursive: true });
    const defined = Object.entries(options).map(([name, value]) => `-D${name}=${value}`);
    if (!existsSync(cache)) cmake('-S', root, '-B', build, '-G', 'Ninja', ...defined);
    cmake('--build', build, '--target', 'kernels-test');
  }, 300_000);

  const [program, ...args] = [...emulator, join(build, 'kernels-test')] as const;

  it.each(['portable', 'neon', 'neonbf16'])(
    'match float64 under an emulator with %s instructions',
    (isa) => {
      const here = execFileSync(program, [...args, 'list'], { encoding: 'utf8' })
        .trim()
        .split('\n');
      expect(here).toEqual(expect.arrayContaining(['portable', 'neon']));
      if (!here.includes(isa))
        return console.log(`note: ${isa} kernels not tested: the emulated processor does not support them`);
      expectExact(execFileSync(program, [...args, isa, 'quick'], { encoding: 'utf8' }), isa, 70);
    },
    120_000,
  );
});
