import { createRequire } from 'node:module';
import { firstLine, SafelightError } from '../errors.js';
import { packageFolder } from '../package.js';
import { type BinaryCandidate, binaryCandidates, binaryPackage } from './binaries.js';
import { missingInstructions } from './cpu.js';
import { guardExit } from './exit-guard.js';
import { platformName, platforms } from './platform.js';
import type { NativeAddon } from './types.js';

const require = createRequire(import.meta.url);

let loaded: NativeAddon | undefined;

/**
 * Returns the native addon, loaded on first use from the first place of `binaryCandidates` whose file loads.
 *
 * @throws BINARY_NOT_FOUND naming the places tried and the command to run
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
  const candidates = binaryCandidates('cpu', folder);
  const failures: BinaryCandidate[] = [];
  for (const candidate of candidates) {
    if (candidate.file === undefined) continue;
    try {
      return require(candidate.file) as NativeAddon;
    } catch (cause) {
      failures.push({ ...candidate, problem: firstLine(cause) });
    }
  }
  throw failures.length > 0 ? doesNotLoad(failures) : missingBinary(candidates);
}

function doesNotLoad(failures: readonly BinaryCandidate[]): SafelightError {
  const list = failures.map(({ file, problem }) => `${file} (${problem})`).join(' and ');
  return new SafelightError(
    'BINARY_NOT_FOUND',
    `The native binary cannot be loaded from ${list}: run \`npx safelight doctor\` for the cause, or \`npx safelight build\` to compile a binary for this machine`,
  );
}

function missingBinary(candidates: readonly BinaryCandidate[]): SafelightError {
  const name = binaryPackage('cpu');
  const places = candidates.map(({ source }) => source).join(' or ');
  const prebuilt = (platforms as readonly string[]).includes(platformName());
  // npm omits the package with --omit=optional, and if node_modules was copied from another system.
  const fix = prebuilt
    ? `run \`npm install ${name}\`, or \`npx safelight build\` to compile one`
    : `there is no package for ${platformName()}; run \`npx safelight build\` to compile one (requires CMake and a C++ compiler)`;
  return new SafelightError('BINARY_NOT_FOUND', `There is no native binary in ${places}: ${fix}`);
}
