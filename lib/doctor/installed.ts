/** Installed packages and the commands that install them. */
import { existsSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { readManifest } from '../package.js';
import type { DoctorEnvironment } from './environment.js';

export interface InstalledPackage {
  readonly folder: string;
  readonly version: string;
}

type Place = Pick<DoctorEnvironment, 'packageFolder' | 'platform'>;

/** Finds a package as Node.js does, but by its folder: the `exports` of a package may hide its package.json. */
export function findPackage(name: string, packageFolder: string): InstalledPackage | undefined {
  for (let folder = packageFolder; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name);
    const manifest = readManifest(candidate);
    if (manifest) return { folder: candidate, version: String(manifest.version ?? 'unknown') };
    if (dirname(folder) === folder) return undefined;
  }
}

/** Returns the names and ranges of one kind of dependency in Safelight's package.json. */
export function dependencyRanges(
  packageFolder: string,
  kind: 'dependencies' | 'optionalDependencies' | 'peerDependencies',
): Readonly<Record<string, string>> {
  const ranges = readManifest(packageFolder)?.[kind];
  return typeof ranges === 'object' && ranges !== null ? (ranges as Record<string, string>) : {};
}

/** Returns the required packages that are not installed. */
export function missingPackages(packageFolder: string): readonly string[] {
  const required = Object.keys(dependencyRanges(packageFolder, 'dependencies'));
  return required.filter((name) => !findPackage(name, packageFolder));
}

/** Returns the message about missing packages. */
export function missingText(names: readonly string[]): string {
  const [count, verb] = names.length === 1 ? ['1 package', 'is'] : [`${names.length} packages`, 'are'];
  return `${count} that Safelight needs ${verb} not installed: ${names.join(', ')}`;
}

/** Returns the version of Safelight. */
export function ownVersion(packageFolder: string): string {
  return String(readManifest(packageFolder)?.version ?? 'unknown');
}

/** Returns true if the package is a clone of the repository: published packages lack its build scripts. */
export function isClone({ packageFolder }: Place): boolean {
  return existsSync(join(packageFolder, 'scripts/prepare.mjs'));
}

/** Package managers by their lock files, with their commands. */
const MANAGERS = [
  { lock: 'pnpm-lock.yaml', install: 'pnpm install', add: 'pnpm add', optional: '--save-optional' },
  { lock: 'yarn.lock', install: 'yarn install', add: 'yarn add', optional: '--optional' },
  { lock: 'bun.lock', install: 'bun install', add: 'bun add', optional: '--optional' },
  { lock: 'bun.lockb', install: 'bun install', add: 'bun add', optional: '--optional' },
] as const;
const NPM = { install: 'npm install', add: 'npm install', optional: '--save-optional' } as const;

/** Returns the folder that contains the node_modules of which the package is a part. */
function projectOf({ packageFolder }: Place): string | undefined {
  const index = packageFolder.indexOf(`${sep}node_modules${sep}`);
  return index < 0 ? undefined : packageFolder.slice(0, index);
}

function managerOf(place: Place): (typeof MANAGERS)[number] | typeof NPM {
  const project = projectOf(place);
  if (project === undefined) return NPM;
  return MANAGERS.find(({ lock }) => existsSync(join(project, lock))) ?? NPM;
}

function isGlobal(place: Place): boolean {
  const project = projectOf(place);
  return project !== undefined && !existsSync(join(project, 'package.json'));
}

/**
 * Returns the command that installs every dependency that is missing.
 * @param omitted true if npm was told to omit optional dependencies
 */
export function installAll(place: Place, omitted = false): string {
  if (isClone(place)) return 'npm ci';
  const { install } = managerOf(place);
  const command = isGlobal(place) ? 'npm install --global safelight' : install;
  return omitted && command.startsWith('npm ') ? `${command} --include=optional` : command;
}

/**
 * Returns the command that adds a package to the project.
 * @param name with or without a version
 * @param optional true for packages of one platform, which would break the installation on others
 */
export function addPackage(place: Place, name: string, optional = false): string {
  if (isClone(place)) return `npm install --no-save ${name}`;
  if (isGlobal(place)) return `npm install --global ${name}`;
  const manager = managerOf(place);
  return [manager.add, ...(optional ? [manager.optional] : []), name].join(' ');
}

/**
 * Returns the command that installs a damaged package again. The folder is removed first, because npm does not
 * compare the files of an installed package.
 */
export function reinstall(place: Place, folder: string): string {
  const all = isClone(place) ? 'npm install' : installAll(place);
  if (!folder.includes(`${sep}node_modules${sep}`)) return all; // a link to sources, which must not be removed
  const remove = place.platform === 'win32' ? 'rmdir /s /q' : 'rm -rf';
  return `${remove} ${quoted(folder, place.platform)} && ${all}`;
}

/** Returns a path as one word of a shell. */
export function quoted(path: string, platform: NodeJS.Platform = process.platform): string {
  if (/^[\w@%+=:,./\\~-]+$/.test(path)) return path;
  return platform === 'win32' ? `"${path}"` : `'${path.replaceAll("'", `'\\''`)}'`;
}
