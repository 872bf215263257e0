/** Checks the operating system, the C library and the version of Node.js. */
import { readdirSync } from 'node:fs';
import { release } from 'node:os';
import { defined } from '../../defined.js';
import { shownBytes } from '../../modules/memory-fit.js';
import { readManifest } from '../../package.js';
import { distribution } from '../distribution.js';
import type { DoctorEnvironment } from '../environment.js';
import { fault, ok, type Result } from '../finding.js';
import { isContainer } from '../gpu-hardware.js';

const SYSTEMS: Partial<Record<NodeJS.Platform, string>> = { darwin: 'macOS', win32: 'Windows' };

export async function checkSystem(environment: DoctorEnvironment): Promise<readonly Result[]> {
  const { platform, arch, node, packageFolder } = environment;
  const os = distribution(environment)?.name ?? SYSTEMS[platform] ?? platform;
  const libc = platform === 'linux' ? cLibrary(environment) : undefined;
  const { limit } = environment.memory();
  const container = isContainer(environment);
  const data = defined({ os, kernel: release(), platform, arch, libc, node, container, memoryLimit: limit });
  const details = [
    `kernel ${release()}, ${[arch, libc].filter(Boolean).join(', ')}`,
    ...(container ? ['in a container'] : []),
    ...(limit === undefined ? [] : [`the memory of this process is limited to ${shownBytes(limit)}`]),
  ];
  const facts = { details, data };
  const range = enginesOf(packageFolder);
  if (range !== undefined && !satisfies(node, range))
    return [fault(`Safelight needs Node.js ${range}, this is ${node}`, installNode(platform), facts)];
  return [ok(`${os}, Node.js ${node}`, facts)];
}

/** Returns name and version of the C library of this process. */
function cLibrary({ system }: DoctorEnvironment): string {
  const glibc = glibcVersion();
  if (glibc !== undefined) return `glibc ${glibc}`;
  try {
    if (readdirSync(system('/lib')).some((name) => name.startsWith('ld-musl-'))) return 'musl';
  } catch {
    // A system without /lib, such as NixOS.
  }
  return 'unknown C library';
}

function glibcVersion(): string | undefined {
  try {
    // Without this, the report resolves the names of all network connections, which can take seconds.
    const { report } = process as { report?: { excludeNetwork?: boolean; getReport(): object } };
    if (!report) return undefined;
    report.excludeNetwork = true;
    const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } };
    return header?.glibcVersionRuntime;
  } catch {
    return undefined;
  }
}

function enginesOf(packageFolder: string): string | undefined {
  const engines = readManifest(packageFolder)?.engines;
  const node =
    typeof engines === 'object' && engines !== null && 'node' in engines ? engines.node : undefined;
  return typeof node === 'string' ? node : undefined;
}

/** Returns true if a version is in a range of the forms `^1.2.3` and `>=1.2.3`, joined by `||`. */
export function satisfies(version: string, range: string): boolean {
  const own = numbers(version);
  return range.split('||').some((part) => {
    const [, form, bound] = /^\s*(\^|>=)\s*([\d.]+)\s*$/.exec(part) ?? [];
    // An unknown form says nothing against the version.
    if (bound === undefined) return true;
    const least = numbers(bound);
    if (form === '^' && own[0] !== least[0]) return false;
    const differing = least.findIndex((value, i) => value !== (own[i] ?? 0));
    return differing < 0 || (own[differing] ?? 0) > least[differing]!;
  });
}

function numbers(version: string): number[] {
  return version.split('.').map((part) => Number.parseInt(part, 10) || 0);
}

function installNode(platform: NodeJS.Platform): string {
  if (platform === 'win32') return 'winget install OpenJS.NodeJS.LTS';
  return platform === 'darwin' ? 'brew install node' : 'nvm install --lts';
}
