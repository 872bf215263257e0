/** The environment that the checks examine. Tests inject faults by replacing its fields. */
import { statfs } from 'node:fs/promises';
import { freemem, totalmem } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { type BinaryCandidate, binaryCandidates } from '../binding/binaries.js';
import { platformName } from '../binding/platform.js';
import type { AddonReport } from '../binding/probe.js';
import type { BackendName } from '../binding/types.js';
import { bundledModel } from '../hub/bundled.js';
import type { Environment } from '../hub/environment.js';
import { packageFolder } from '../package.js';
import type { DoctorOptions } from './options.js';
import { cachedProbes } from './run-node.js';

/** Bytes of memory. */
export interface SystemMemory {
  readonly available: number;
  readonly total: number;
  /** Limit of the process's container or control group; undefined if there is none. */
  readonly limit?: number;
}

/** Bytes and free inodes of a file system; `freeInodes` is undefined if it does not state them. */
export interface DiskSpace {
  readonly free: number;
  readonly total: number;
  readonly freeInodes?: number;
}

export interface DoctorEnvironment {
  readonly options: DoctorOptions;
  /** Environment variables. */
  readonly env: Environment;
  readonly platform: NodeJS.Platform;
  readonly arch: string;
  /** Version of Node.js without `v`. */
  readonly node: string;
  /** Name of the platform package, such as `linux-x64`. */
  readonly platformName: string;
  /** Folder of Safelight's package. */
  readonly packageFolder: string;
  /** Returns the path of a system file, such as `/proc/cpuinfo`; tests redirect it to a folder. */
  system(path: string): string;
  binaries(backend: BackendName): readonly BinaryCandidate[];
  /** Loads an addon and opens the devices of a backend, in a child process. */
  probe(backend: BackendName, file: string): Promise<AddonReport>;
  /** Returns the folder of a bundled model; undefined if it is not installed. */
  bundled(name: string): string | undefined;
  memory(): SystemMemory;
  /** Returns the space of the file system of an existing folder; undefined if it does not state it. */
  diskSpace(folder: string): Promise<DiskSpace | undefined>;
  /** Returns true if this machine runs a process with this id. */
  isAlive(pid: number): boolean;
  /** Milliseconds for which an unexpired lock of a dead process is watched; its owner would touch it every 5 s. */
  readonly lockPatience: number;
}

/** Returns the environment of this process. */
export function currentEnvironment(options: DoctorOptions = {}): DoctorEnvironment {
  return {
    options,
    env: process.env,
    platform: process.platform,
    arch: process.arch,
    node: process.versions.node,
    platformName: platformName(),
    packageFolder,
    system: (path) => path,
    binaries: (backend) => binaryCandidates(backend),
    probe: cachedProbes(),
    bundled: bundledModel,
    memory: systemMemory,
    diskSpace,
    isAlive,
    lockPatience: 6000,
  };
}

/** Returns a `system` function for a folder that contains the system's files, for tests. */
export function systemIn(folder: string): DoctorEnvironment['system'] {
  return (path) => (isAbsolute(path) ? join(folder, path) : path);
}

function systemMemory(): SystemMemory {
  const total = totalmem();
  // Without a limit, Node.js returns 0, the total, or 2 ** 64.
  const constrained = process.constrainedMemory?.() ?? 0;
  const limit = constrained > 0 && constrained < total ? constrained : undefined;
  const available = process.availableMemory?.() ?? freemem();
  return { available, total, ...(limit === undefined ? {} : { limit }) };
}

async function diskSpace(folder: string): Promise<DiskSpace | undefined> {
  const { bavail, bfree, blocks, bsize, files, ffree } = await statfs(folder);
  if (blocks === 0) return undefined;
  // Some blocks are reserved for root.
  const free = (process.getuid?.() === 0 ? bfree : bavail) * bsize;
  return { free, total: blocks * bsize, ...(files > 0 ? { freeInodes: ffree } : {}) };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: the process belongs to another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
