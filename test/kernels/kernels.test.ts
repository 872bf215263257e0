/** Compares the CPU kernels with float64 for each instruction set of this machine, using kernels-test.cpp. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectExact } from './outcomes.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const build = join(root, '.build/cpu');
const program = join(build, 'kernels-test');

const skip = existsSync(join(build, 'CMakeCache.txt'))
  ? ''
  : ' (skipped: the addon was not built with CMake here)';

describe.skipIf(skip !== '')(`the CPU kernels match float64${skip}`, () => {
  beforeAll(() => {
    const { status, stdout, stderr } = spawnSync('cmake', ['--build', build, '--target', 'kernels-test'], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`kernels-test does not compile:\n${stdout}${stderr}`);
  }, 300_000);

  it.each(['portable', 'avx2', 'avxvnni', 'avx512', 'avx512vnni', 'avx512bf16'])(
    'with %s instructions',
    (isa) => {
      const here = execFileSync(program, ['list'], { encoding: 'utf8' }).trim().split('\n');
      expect(here).toContain('portable');
      if (!here.includes(isa))
        return console.log(`note: ${isa} kernels not tested: this processor does not support them`);
      expectExact(execFileSync(program, [isa], { encoding: 'utf8' }), isa, 100);
    },
  );

  it('share no symbols between instruction sets', () => {
    // If an AVX-512 object defines a function of the standard library, the linker may keep that definition for all objects.
    const folders = readdirSync(join(build, 'CMakeFiles')).filter((name) =>
      name.startsWith('safelight-kernels-'),
    );
    expect(folders.length).toBeGreaterThan(0);
    for (const folder of folders) {
      const isa = folder.replace(/^safelight-kernels-|\.dir$/g, '');
      const objects = execFileSync('find', [join(build, 'CMakeFiles', folder), '-name', '*.o'], {
        encoding: 'utf8',
      });
      const symbols = execFileSync('nm', ['-C', '--defined-only', ...objects.trim().split('\n')], {
        encoding: 'utf8',
      });
      const shared = symbols
        .split('\n')
        .filter((line) => / [WVu] /.test(line) && !line.includes(`kernels::${isa}::`));
      expect(shared).toEqual([]);
    }
  });
});
