import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/**
 * Systems that a package with the addon exists for: `@safelight/NAME`. prebuilds/ contains a folder for each, and one for each
 * GPU backend (`linux-x64-cuda`).
 */
export const platforms = [
  'darwin-arm64',
  'darwin-x64',
  'linux-arm64',
  'linux-x64',
  'linuxmusl-arm64',
  'linuxmusl-x64',
  'win32-arm64',
  'win32-x64',
] as const;

/** GPU backends that a package exists for; users install it in addition. */
export const gpuPackages: readonly string[] = [
  'linux-x64-cuda',
  'linux-x64-vulkan',
  'win32-x64-cuda',
  'win32-x64-vulkan',
];

let name: string | undefined;

/**
 * Returns this system as the packages with the addon are named: `process.platform` and `process.arch`, where Linux with musl
 * instead of glibc (Alpine) is `linuxmusl`.
 */
export function platformName(): string {
  name ??= `${process.platform}${isMusl() ? 'musl' : ''}-${process.arch}`;
  return name;
}

function isMusl(): boolean {
  // Loaded on first use, so that `safelight doctor` can report that it is missing.
  const { familySync } = require('detect-libc') as typeof import('detect-libc');
  return familySync() === 'musl';
}
