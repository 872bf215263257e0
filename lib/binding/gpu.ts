/**
 * GPU backends: each is an addon of its own (safelight-vulkan.node), because it needs a driver's libraries and may fail in ways that end a
 * process. A child process loads it and opens its devices first; only what worked there is loaded here.
 */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { defined } from '../defined.js';
import { SafelightError } from '../errors.js';
import type { GpuBackend } from './backend-choice.js';
import { packageFolder } from './binding.js';
import type { BackendInfo, NativeAddon } from './types.js';

const require = createRequire(import.meta.url);

/** Milliseconds within which a driver must open its devices. */
const PATIENCE = 60_000;

/** What the child process found. */
export interface GpuReport {
  /** Undefined where the backend is not installed. */
  readonly file: string | undefined;
  /** The backend's devices in ggml's order, then those that it passes over. */
  readonly devices: readonly BackendInfo[];
  /** The reason why the addon does not load here. */
  readonly problem?: string;
}

const reports = new Map<GpuBackend, GpuReport>();
const addons = new Map<GpuBackend, NativeAddon>();

/**
 * The addon of a backend: in the folder that SAFELIGHT_GPU_BINARIES names, compiled here (build/gpu), shipped with the package (prebuilds),
 * or in a package of its own (@safelight/PLATFORM-ARCH-BACKEND).
 */
function gpuBinary(backend: GpuBackend): string | undefined {
  const name = `safelight-${backend}.node`;
  const system = `${process.platform}-${process.arch}`;
  const folders = [process.env.SAFELIGHT_GPU_BINARIES, join(packageFolder, 'build/gpu')];
  folders.push(join(packageFolder, 'prebuilds', system, backend));
  const found = folders
    .map((folder) => folder && join(folder, name))
    .find((file) => file && existsSync(file));
  if (found) return found;
  try {
    return require.resolve(`@safelight/${system}-${backend}/${name}`);
  } catch {
    return undefined;
  }
}

/** The devices of a backend, opened once in a child process; asked once a process. */
export function gpuReport(backend: GpuBackend): GpuReport {
  let report = reports.get(backend);
  if (!report) {
    const file = gpuBinary(backend);
    report = file === undefined ? { file, devices: [] } : probe(backend, file);
    reports.set(backend, report);
  }
  return report;
}

/** The sentence of an error. */
export function notInstalled(backend: GpuBackend): string {
  return `The backend ${backend} is not installed: run \`npx safelight build --${backend}\` to compile it`;
}

/** The addon of a backend that has a device that opens. @throws BACKEND_UNAVAILABLE */
export function gpuAddon(backend: GpuBackend): NativeAddon {
  const { file, devices, problem } = gpuReport(backend);
  if (file === undefined) throw new SafelightError('BACKEND_UNAVAILABLE', notInstalled(backend));
  if (!devices.some(({ opens }) => opens))
    throw new SafelightError(
      'BACKEND_UNAVAILABLE',
      `The backend ${backend} has no device: ${problem ?? 'none opens'}`,
    );
  let addon = addons.get(backend);
  if (!addon) {
    addon = require(file) as NativeAddon;
    addons.set(backend, addon);
  }
  return addon;
}

/** Runs in the child: a line with what there is, then a line for each device that was opened. Arguments: file, backend, first device. */
const CHILD = `
const [file, backend, first] = process.argv.slice(1);
const say = (value) => require('node:fs').writeSync(1, JSON.stringify(value) + '\\n');
try {
  const addon = require(file);
  const devices = addon.backends().filter(({ name }) => name === backend);
  say({ devices, skipped: addon.skippedDevices() });
  devices.forEach(({ device }, index) => {
    if (index < Number(first)) return;
    let problem;
    try { addon.tryDevice(backend, device); } catch (error) { problem = error.message; }
    say({ index, problem });
  });
  say({ done: true });
} catch (error) {
  say({ problem: String(error.message).split('\\n')[0] });
}
process.exit(0);
`;

type Found = Omit<BackendInfo, 'opens' | 'problem'>;

interface Told {
  devices?: readonly Found[];
  skipped?: readonly { readonly description: string; readonly reason: string }[];
  /** Of devices that were tried: undefined where they opened. */
  readonly tried: Map<number, string | undefined>;
  problem?: string;
}

/** A device that ends the child is noted, and another child goes on with the next. */
function probe(backend: GpuBackend, file: string): GpuReport {
  const told: Told = { tried: new Map() };
  for (let first = 0; ; ) {
    const { done, reason } = runChild(backend, file, first, told);
    if (done || told.problem !== undefined) break;
    if (!told.devices) {
      told.problem = `it ended the process that loaded it (${reason})`;
      break;
    }
    first = told.tried.size + 1;
    told.tried.set(first - 1, `opening it ended the process (${reason})`);
    if (first >= told.devices.length) break;
  }
  const { devices = [], skipped = [], tried, problem } = told;
  return {
    file,
    devices: [
      ...devices.map((device, index) => opened(device, tried.get(index), tried.has(index))),
      ...skipped.map(({ description, reason }) => passedOver(backend, description, reason)),
    ],
    ...defined({ problem }),
  };
}

function runChild(
  backend: GpuBackend,
  file: string,
  first: number,
  told: Told,
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
    if (!line.startsWith('{')) continue; // a driver that prints
    const value = JSON.parse(line) as Partial<Told> & { index?: number; problem?: string; done?: boolean };
    if (value.done) done = true;
    else if (value.index !== undefined) told.tried.set(value.index, value.problem);
    else if (value.devices) Object.assign(told, { devices: value.devices, skipped: value.skipped });
    else if (value.problem !== undefined) told.problem = value.problem;
  }
  const last = stderr.trim().split('\n').at(-1) ?? '';
  const how =
    error && 'code' in error && error.code === 'ETIMEDOUT'
      ? 'no answer within 60 s'
      : (signal ?? `exit code ${status}`);
  return { done, reason: last === '' ? how : `${how}: ${last}` };
}

function opened(device: Found, problem: string | undefined, wasTried: boolean): BackendInfo {
  if (problem === undefined && wasTried) return { ...device, opens: true };
  return { ...device, opens: false, problem: problem ?? 'it was not tried' };
}

function passedOver(name: GpuBackend, description: string, reason: string): BackendInfo {
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
