import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { SafelightError } from '../errors.js';
import { packageFolder } from '../package.js';
import type { BackendName } from './types.js';

export interface BuildOptions {
  /** The backend to compile in addition to the CPU's. Default `cpu`, which compiles only that. */
  readonly backend?: BackendName;
}

/**
 * Compiles the native binary for this machine from the bundled ggml source into build/Release, which has precedence
 * over the prebuilt binary. The compiler's output is written to stderr.
 *
 * @throws BINARY_NOT_FOUND if a tool is missing or the build fails
 */
export async function buildNative(options: BuildOptions = {}): Promise<void> {
  const backend = options.backend ?? 'cpu';
  // Tools of GPU toolkits (nvcc, glslc) can be in many places: CMake searches for them and reports missing ones.
  if (!hasTool('cmake')) throw missingTool('CMake 3.19 or newer');
  if (!hasTool('c++') && !hasTool('g++') && !hasTool('clang++')) {
    throw missingTool('a C++20 compiler (GCC 11, Clang 14 or newer)');
  }
  const status = await run([join(packageFolder, 'scripts/build-native.mjs'), `--${backend}`]);
  if (status !== 0) {
    throw new SafelightError(
      'BINARY_NOT_FOUND',
      `The native binary for ${backend} did not compile: see the messages above`,
    );
  }
}

function run(args: string[]): Promise<number | null> {
  return new Promise((resolve, reject) => {
    // stdout is reserved for the command's result.
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
    `Compiling the native binary requires ${description} on the PATH: install it and run \`npx safelight build\` again`,
  );
}
