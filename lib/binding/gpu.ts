/**
 * GPU backends. Each is a separate addon (safelight-vulkan.node), because it requires a driver's libraries and may fail
 * in ways that end the process. A child process first loads the addon and opens its devices; only what succeeds there
 * is loaded in this process.
 */

import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { SafelightError } from '../errors.js';
import type { GpuBackend } from './backend-choice.js';
import { binaryCandidates, binaryPackage } from './binaries.js';
import { guardExit } from './exit-guard.js';
import { gpuPackages } from './platform.js';
import { type AddonReport, type ChildResult, probeEnvironment, probing } from './probe.js';
import type { NativeAddon } from './types.js';

const require = createRequire(import.meta.url);

/** Milliseconds within which a driver must open its devices. */
const PATIENCE = 60_000;

/** The result of the child process. */
export interface GpuReport extends AddonReport {
  /** Path of the addon; undefined if the backend is not installed. */
  readonly file: string | undefined;
}

const reports = new Map<GpuBackend, GpuReport>();
const addons = new Map<GpuBackend, NativeAddon>();

/** Returns the path of a backend's addon; undefined if it is not installed. */
function gpuBinary(backend: GpuBackend): string | undefined {
  return binaryCandidates(backend).find(({ file }) => file !== undefined)?.file;
}

/** Returns the devices of a backend, probed in a child process once per process. */
export function gpuReport(backend: GpuBackend): GpuReport {
  let report = reports.get(backend);
  if (!report) {
    const file = gpuBinary(backend);
    report = file === undefined ? { file, devices: [] } : probe(backend, file);
    reports.set(backend, report);
  }
  return report;
}

/** Returns the message for a backend that is not installed. */
export function notInstalled(backend: GpuBackend): string {
  const packaged = gpuPackages.includes(binaryPackage(backend).replace('@safelight/', ''));
  const install = packaged ? `\`npm install ${binaryPackage(backend)}\`, or ` : '';
  return `The backend ${backend} is not installed: run ${install}\`npx safelight build --${backend}\` to compile it`;
}

/** Returns the addon of a backend if one of its devices can be opened. @throws BACKEND_UNAVAILABLE */
export function gpuAddon(backend: GpuBackend): NativeAddon {
  const { file, devices, problem } = gpuReport(backend);
  if (file === undefined) throw new SafelightError('BACKEND_UNAVAILABLE', notInstalled(backend));
  if (!devices.some(({ opens }) => opens))
    throw new SafelightError(
      'BACKEND_UNAVAILABLE',
      `The backend ${backend} has no usable device: ${problem ?? 'none can be opened'}`,
    );
  let addon = addons.get(backend);
  if (!addon) {
    addon = require(file) as NativeAddon;
    guardExit(addon);
    addons.set(backend, addon);
  }
  return addon;
}

/** Probes an addon with synchronous child processes. */
function probe(backend: GpuBackend, file: string): GpuReport {
  const steps = probing(backend, file);
  let step = steps.next();
  while (!step.done) step = steps.next(runChild(step.value));
  return { file, ...step.value };
}

function runChild(args: readonly string[]): ChildResult {
  const { stdout, stderr, status, signal, error } = spawnSync(process.execPath, args, {
    env: probeEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    timeout: PATIENCE,
    killSignal: 'SIGKILL',
  });
  const timedOut = error && 'code' in error && error.code === 'ETIMEDOUT';
  return { stdout, stderr, how: timedOut ? 'no response within 60 s' : (signal ?? `exit code ${status}`) };
}
