/** A sound installation in a temporary folder, into which tests inject faults. */
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { binaryCandidates } from '../../lib/binding/binaries.js';
import { platformName } from '../../lib/binding/platform.js';
import { runCheck } from '../../lib/doctor/diagnose.js';
import { currentEnvironment, type DoctorEnvironment, systemIn } from '../../lib/doctor/environment.js';
import type { CheckName, Finding } from '../../lib/doctor/finding.js';
import { packageFolder as ownFolder } from '../../lib/package.js';
import { freePort } from './free-port.js';

const MODELS = fileURLToPath(new URL('../../models', import.meta.url));
/** The addon that this checkout has compiled. */
export const ADDON = fileURLToPath(new URL('../../build/Release/safelight.node', import.meta.url));
export const PLATFORM_PACKAGE = `@safelight/${platformName()}`;

interface Manifest {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
}
export const manifest = JSON.parse(readFileSync(join(ownFolder, 'package.json'), 'utf8')) as Manifest;

export interface Installation extends Disposable {
  /** The temporary folder; its `system` contains the files of the system, its `home` the home folder. */
  readonly folder: string;
  /** Folder of the project's installed packages. */
  readonly modules: string;
  readonly environment: DoctorEnvironment;
  /** Runs a check, with some fields of the environment replaced. */
  run(check: CheckName, fault?: Partial<DoctorEnvironment>): Promise<readonly Finding[]>;
  /** Writes a file below the folder and returns its path. */
  write(path: string, content: string | Uint8Array): string;
}

/** Installs Safelight, its dependencies (as links) and the package of this platform into a project. */
export async function installation(): Promise<Installation> {
  const folder = mkdtempSync(join(tmpdir(), 'safelight-doctor-'));
  const modules = join(folder, 'project/node_modules');
  const packageFolder = join(modules, 'safelight');
  mkdirSync(join(packageFolder, 'dist'), { recursive: true });
  const write = (path: string, content: string | Uint8Array) => {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    return file;
  };
  write('project/package.json', '{"name":"project"}');
  copyFileSync(join(ownFolder, 'package.json'), join(packageFolder, 'package.json'));
  const merges = 'dist/clip-merges.txt.br';
  copyFileSync(join(ownFolder, merges), join(packageFolder, merges));
  for (const name of Object.keys(manifest.dependencies))
    link(join(ownFolder, 'node_modules', name), join(modules, name));
  link(
    join(ownFolder, 'node_modules', `@img/sharp-${platformName()}`),
    join(modules, `@img/sharp-${platformName()}`),
  );
  write(
    `project/node_modules/${PLATFORM_PACKAGE}/package.json`,
    JSON.stringify({ name: PLATFORM_PACKAGE, version: manifest.version }),
  );
  copyFileSync(ADDON, join(modules, PLATFORM_PACKAGE, 'safelight.node'));
  write('system/etc/os-release', 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n');
  write('system/proc/cpuinfo', existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '');
  const home = join(folder, 'home');
  mkdirSync(home);
  const environment: DoctorEnvironment = {
    ...currentEnvironment({ port: await freePort() }),
    env: { HOME: home },
    packageFolder,
    system: systemIn(join(folder, 'system')),
    binaries: (backend) => binaryCandidates(backend, packageFolder),
    bundled: (name) => join(MODELS, name),
    memory: () => ({ available: 16e9, total: 32e9 }),
    diskSpace: async () => ({ free: 100e9, total: 500e9, freeInodes: 1e6 }),
    lockPatience: 50,
  };
  return {
    ...{ folder, modules, environment, write },
    run: (check, fault = {}) => runCheck({ ...environment, ...fault }, check),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Replaces the link to @safelight/starter by a copy without some files of the starter model. @returns the model's folder */
export function starterWithout({ modules }: Installation, file: string): string {
  const copy = join(modules, '@safelight/starter');
  unlinkSync(copy);
  cpSync(join(MODELS, 'starter'), join(copy, 'starter'), {
    recursive: true,
    filter: (path) => !path.startsWith(join(MODELS, 'starter', file)),
  });
  return join(copy, 'starter');
}

function link(target: string, path: string): void {
  if (!existsSync(target)) return;
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(target, path, 'junction');
}

/** Returns the addon with a text of its string table replaced by one that is not longer. */
export function addonWith(text: RegExp, replacement: string): Uint8Array {
  const bytes = readFileSync(ADDON);
  const match = new RegExp(`\\0(${text.source})\\0`).exec(bytes.toString('latin1'));
  const [, found = ''] = match ?? [];
  if (!match || replacement.length > found.length) throw new Error(`the addon has no text ${text.source}`);
  bytes.write(replacement.padEnd(found.length, '\0'), match.index + 1, 'latin1');
  return bytes;
}
