import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { SafelightError } from '../errors.js';
import { packageFolder } from './binding.js';
import type { BackendName } from './types.js';

export interface BuildOptions {
  /** The backend to compile beside the CPU's; `cpu` (the default) compiles that alone. */
  readonly backend?: BackendName;
}

/**
 * Compiles the native binary for this machine from the ggml source that comes with the package, into build/Release, where it
 * is found before the prebuilt one. The compiler's output goes to stderr as it comes.
 *
 * @throws SafelightError BINARY_NOT_FOUND where a tool is missing or the build fails
 */
export async function buildNative(options: BuildOptions = {}): Promise<void> {
  const backend = options.backend ?? 'cpu';
  // A GPU's own tools (nvcc, glslc) have many places to be: CMake looks for them and says what it misses.
  if (!hasTool('cmake')) throw missingTool('CMake 3.19 or newer');
  if (!hasTool('c++') && !hasTool('g++') && !hasTool('clang++')) {
    throw missingTool('a C++20 compiler (GCC 11, Clang 14 or newer)');
  }
  const status = await run([join(packageFolder, 'scripts/build-native.mjs'), `--${backend}`]);
  if (status !== 0) {
    throw new SafelightError(
      'BINARY_NOT_FOUND',
      `The native binary for ${backend} did not compile: the messages above say why`,
    );
  }
}

function run(args: string[]): Promise<number | null> {
  return new Promise((resolve, reject) => {
    // stdout stays free for what a command prints as its result.
    const child = spawn(process.execPath, args, {
      cwd: packageFolder,
      stdio: ['ignore', process.stderr, process.stderr],
    });
    child.on('error', reject).on('close', resolve);
  });
}

function hasTool(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
}

function missingTool(description: string): SafelightError {
  return new SafelightError(
    'BINARY_NOT_FOUND',
    `Compiling the native binary needs ${description} on the PATH: install it and run \`npx safelight build\` again`,
  );
}
