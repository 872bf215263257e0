/**
 * GPU backends. Each is a separate addon (safelight-vulkan.node), because it requires a driver's libraries and may fail
 * in ways that end the process. A child process first loads the addon and opens its devices; only what succeeds there
 * is loaded in this process.
 */

import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { defined } from '../defined.js';
import { SafelightError } from '../errors.js';
import type { GpuBackend } from './backend-choice.js';
import { binaryCandidates, binaryPackage } from './binaries.js';
import { guardExit } from './exit-guard.js';
import { gpuPackages } from './platform.js';
import type { BackendInfo, NativeAddon } from './types.js';

const require = createRequire(import.meta.url);

/** Milliseconds within which a driver must open its devices. */
const PATIENCE = 60_000;

/** The result of the child process. */
export interface GpuReport {
  /** Path of the addon; undefined if the backend is not installed. */
  readonly file: string | undefined;
  /** The backend's devices in ggml's order, then those that ggml skips. */
  readonly devices: readonly BackendInfo[];
  /** The reason why the addon cannot be loaded. */
  readonly problem?: string;
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

/**
 * Code of the child process. Prints a line with the devices, then a line for each opened device. Arguments: file,
 * backend, first device.
 */
const CHILD = `
const [file, backend, first] = process.argv.slice(1);
const print = (value) => require('node:fs').writeSync(1, JSON.stringify(value) + '\\n');
try {
  const addon = require(file);
  const devices = addon.backends().filter(({ name }) => name === backend);
  print({ devices, skipped: addon.skippedDevices() });
  devices.forEach(({ device }, index) => {
    if (index < Number(first)) return;
    let problem;
    try { addon.tryDevice(backend, device); } catch (error) { problem = error.message; }
    print({ index, problem });
  });
  print({ done: true });
} catch (error) {
  print({ problem: String(error.message).split('\\n')[0] });
}
process.exit(0);
`;

type ProbedDevice = Omit<BackendInfo, 'opens' | 'problem'>;

interface ProbeResult {
  devices?: readonly ProbedDevice[];
  skipped?: readonly { readonly description: string; readonly reason: string }[];
  /** Problems by index of the devices that were tried; undefined for those that opened. */
  readonly tried: Map<number, string | undefined>;
  problem?: string;
}

/**
 * Probes all devices. If a device ends the child process, that is recorded and another child continues with the next
 * device.
 */
function probe(backend: GpuBackend, file: string): GpuReport {
  const result: ProbeResult = { tried: new Map() };
  for (let first = 0; ; ) {
    const { done, reason } = runChild(backend, file, first, result);
    if (done || result.problem !== undefined) break;
    if (!result.devices) {
      result.problem = `loading it ended the process (${reason})`;
      break;
    }
    first = result.tried.size + 1;
    result.tried.set(first - 1, `opening it ended the process (${reason})`);
    if (first >= result.devices.length) break;
  }
  const { devices = [], skipped = [], tried, problem } = result;
  return {
    file,
    devices: [
      ...devices.map((device, index) => deviceInfo(device, tried.get(index), tried.has(index))),
      ...skipped.map(({ description, reason }) => skippedDevice(backend, description, reason)),
    ],
    ...defined({ problem }),
  };
}

function runChild(
  backend: GpuBackend,
  file: string,
  first: number,
  result: ProbeResult,
): { readonly done: boolean; readonly reason: string } {
  const { NODE_OPTIONS: _, ...environment } = process.env;
  const { stdout, stderr, status, signal, error } = spawnSync(
    process.execPath,
    ['-e', CHILD, file, backend, `${first}`],
    {
      env: { ...environment, ELECTRON_RUN_AS_NODE: '1', GGML_NO_BACKTRACE: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
      encoding: 'utf8',
      timeout: PATIENCE,
      killSignal: 'SIGKILL',
    },
  );
  let done = false;
  for (const line of stdout.split('\n')) {
    if (!line.startsWith('{')) continue; // output of a driver
    const value = JSON.parse(line) as Partial<ProbeResult> & {
      index?: number;
      problem?: string;
      done?: boolean;
    };
    if (value.done) done = true;
    else if (value.index !== undefined) result.tried.set(value.index, value.problem);
    else if (value.devices) Object.assign(result, { devices: value.devices, skipped: value.skipped });
    else if (value.problem !== undefined) result.problem = value.problem;
  }
  const last = stderr.trim().split('\n').at(-1) ?? '';
  const how =
    error && 'code' in error && error.code === 'ETIMEDOUT'
      ? 'no response within 60 s'
      : (signal ?? `exit code ${status}`);
  return { done, reason: last === '' ? how : `${how}: ${last}` };
}

function deviceInfo(device: ProbedDevice, problem: string | undefined, wasTried: boolean): BackendInfo {
  if (problem === undefined && wasTried) return { ...device, opens: true };
  return { ...device, opens: false, problem: problem ?? 'it was not tried' };
}

function skippedDevice(name: GpuBackend, description: string, reason: string): BackendInfo {
  return {
    name,
    device: '',
    description,
    type: 'gpu',
    memory: { free: 0, total: 0 },
    opens: false,
    problem: reason,
  };
}
