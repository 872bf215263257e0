/** The files that the addon can be loaded from, in order of precedence. */

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { packageFolder } from '../package.js';
import { platformName } from './platform.js';
import type { BackendName } from './types.js';

const require = createRequire(import.meta.url);

/** A place where the addon of a backend can be. */
export interface BinaryCandidate {
  /** Place as a user knows it: a variable, a folder of the package such as `build/Release`, or the name of a package. */
  readonly source: string;
  /** Path of the addon; undefined if there is none. */
  readonly file?: string;
  /** The reason why there is no addon; undefined if there is one. */
  readonly problem?: string;
}

/** Returns the file name of a backend's addon. */
export function binaryName(backend: BackendName): string {
  return backend === 'cpu' ? 'safelight.node' : `safelight-${backend}.node`;
}

/**
 * Returns the package that contains a backend's addon for this system. Metal is part of the CPU package of macOS on Arm, as a
 * second file.
 */
export function binaryPackage(backend: BackendName): string {
  const suffix = backend === 'cpu' || backend === 'metal' ? '' : `-${backend}`;
  return `@safelight/${platformName()}${suffix}`;
}

/**
 * Returns where the addon of a backend can be, those with precedence first: the folder that SAFELIGHT_GPU_BINARIES names (GPU
 * backends), the addon compiled on this machine (`safelight build`), and the package of this system.
 *
 * @param folder the package's folder, for tests
 */
export function binaryCandidates(
  backend: BackendName = 'cpu',
  folder: string = packageFolder,
): readonly BinaryCandidate[] {
  const name = binaryName(backend);
  const candidates: BinaryCandidate[] = [];
  const named = process.env.SAFELIGHT_GPU_BINARIES;
  if (backend !== 'cpu' && named) candidates.push(inFolder('SAFELIGHT_GPU_BINARIES', named, name));
  const built = backend === 'cpu' ? 'build/Release' : 'build/gpu';
  candidates.push(inFolder(built, join(folder, built), name));
  candidates.push(inPackage(binaryPackage(backend), name, folder));
  return candidates;
}

function inFolder(source: string, folder: string, name: string): BinaryCandidate {
  const file = join(folder, name);
  return existsSync(file) ? { source, file } : { source, problem: `${folder} contains no ${name}` };
}

/** Finds a package as the file `folder`/package.json would import it. */
function inPackage(source: string, name: string, folder: string): BinaryCandidate {
  let manifest: string;
  try {
    // The folder's own resolution differs from this file's in tests only; bundlers follow the latter.
    const resolver = folder === packageFolder ? require : createRequire(join(folder, 'package.json'));
    manifest = resolver.resolve(`${source}/package.json`);
  } catch {
    return { source, problem: 'not installed' };
  }
  return inFolder(source, dirname(manifest), name);
}
