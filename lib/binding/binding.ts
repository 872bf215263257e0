import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { SafelightError } from '../errors.js';
import { missingInstructions } from './cpu.js';
import { guardExit } from './exit-guard.js';
import type { NativeAddon } from './types.js';

const require = createRequire(import.meta.url);

/** The package's folder, resolved from lib/binding and from dist/binding alike. */
export const packageFolder = fileURLToPath(new URL('../..', import.meta.url));

let loaded: NativeAddon | undefined;

/**
 * Returns the native addon, loaded on first use from build/Release (compiled on this machine), else from
 * prebuilds/PLATFORM-ARCH (shipped with the package).
 *
 * @throws BINARY_NOT_FOUND naming the paths tried and the command to run
 */
export function addon(): NativeAddon {
  if (!loaded) {
    loaded = load(packageFolder);
    guardExit(loaded);
  }
  return loaded;
}

/** @param folder the package's folder, for tests */
export function load(folder: string): NativeAddon {
  const missing = missingInstructions();
  if (missing.length > 0) {
    throw new SafelightError(
      'BINARY_NOT_FOUND',
      `This processor has no ${missing.join(', ')}, which Safelight's native binary requires (x86-64-v3, available since about 2013)`,
    );
  }
  const file = find(folder);
  try {
    return require(file) as NativeAddon;
  } catch (cause) {
    throw new SafelightError(
      'BINARY_NOT_FOUND',
      `The native binary ${file} cannot be loaded (${reason(cause)}): run \`npx safelight build\` to compile one for this machine`,
      { cause },
    );
  }
}

function find(folder: string): string {
  const { resolve } = require('node-gyp-build') as { resolve(folder: string): string };
  try {
    return resolve(folder);
  } catch (cause) {
    const system = `${process.platform}-${process.arch}`;
    throw new SafelightError(
      'BINARY_NOT_FOUND',
      `There is no native binary for ${system} in build/Release or prebuilds/${system} of ${folder}: run \`npx safelight build\` to compile one (requires CMake and a C++ compiler)`,
      { cause },
    );
  }
}

function reason(cause: unknown): string {
  return cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
}
