import { SafelightError } from '../errors.js';
import { checkBackend, type GpuBackend, gpuBackends, parseBackend } from './backend-choice.js';
import { addon } from './binding.js';
import { gpuAddon, gpuReport, notInstalled } from './gpu.js';
import { guarded } from './task.js';
import type { BackendChoice, BackendInfo, BackendName, NativeAddon } from './types.js';

/**
 * Every device that can be computed on, and those that are there but cannot (`opens` is false, `problem` says why). The first call opens
 * the devices of installed GPU backends in a child process.
 */
export function backends(): BackendInfo[] {
  const cpu = guarded(() => addon().backends()).map((device) => ({ ...device, opens: true }));
  return [...cpu, ...gpuBackends.flatMap(devicesOf)];
}

/** Cores of this process, two hardware threads counted once: the default number of threads. */
export function physicalCores(): number {
  return guarded(() => addon().physicalCores());
}

/** The addon that computes on a backend. @throws BACKEND_UNAVAILABLE */
export function addonOf(backend: BackendName): NativeAddon {
  return backend === 'cpu' ? addon() : gpuAddon(backend);
}

/** Bytes that can be allocated on a device now; undefined where nobody says. */
export function freeMemory({
  backend,
  device,
}: Pick<ChosenBackend, 'backend' | 'device'>): number | undefined {
  const found = guarded(() => addonOf(backend).backends()).filter(({ name }) => name === backend);
  const free = (found.find((one) => one.device === device) ?? found[0])?.memory.free;
  return free === undefined || free === 0 ? undefined : free;
}

/** Where a module computes. */
export interface ChosenBackend {
  readonly backend: BackendName;
  /** ggml's name of a GPU. */
  readonly device?: string;
  /** The reason why `auto` does not take a GPU that is there. */
  readonly warning?: string;
}

/**
 * The device to compute on. `auto` takes the first GPU that opens, else the CPU.
 * @param found devices, for tests
 * @throws INVALID_OPTION, and BACKEND_UNAVAILABLE naming the device and the reason
 */
export function chooseBackend(wanted: BackendChoice, found?: readonly BackendInfo[]): ChosenBackend {
  const parsed = parseBackend(checkBackend(wanted))!;
  const devices = (backend: GpuBackend) =>
    found?.filter(({ name }) => name === backend) ?? devicesOf(backend);
  if (parsed.name === 'cpu') return { backend: 'cpu' };
  if (parsed.name !== 'auto') return named(parsed.name, parsed.which, devices(parsed.name));
  const all = gpuBackends.flatMap(devices);
  const first = all.find(({ opens }) => opens);
  if (first) return { backend: first.name, device: first.device };
  // A device that ggml passes over has no name: nobody expects to compute on it unless they ask.
  const [refused] = all.filter(({ device }) => device !== '');
  if (!refused) return { backend: 'cpu' };
  return {
    backend: 'cpu',
    warning: `Computing on the CPU: ${refused.name} cannot use ${refused.description}: ${refused.problem}`,
  };
}

function named(
  backend: GpuBackend,
  which: string | undefined,
  devices: readonly BackendInfo[],
): ChosenBackend {
  const usable = devices.filter(({ device }) => device !== '');
  const matching = which === undefined ? usable : select(usable, which);
  const chosen = matching.find(({ opens }) => opens);
  if (chosen) return { backend, device: chosen.device };
  throw new SafelightError('BACKEND_UNAVAILABLE', unavailable(backend, which, matching[0], devices));
}

/** By index, by ggml's name, or by a part of what the driver calls it. */
function select(devices: readonly BackendInfo[], which: string): readonly BackendInfo[] {
  if (/^\d{1,3}$/.test(which) && Number(which) < devices.length)
    return devices.slice(Number(which), Number(which) + 1);
  const text = which.toLowerCase();
  const exact = devices.filter(({ device }) => device.toLowerCase() === text);
  return exact.length > 0
    ? exact
    : devices.filter(({ description }) => description.toLowerCase().includes(text));
}

function unavailable(
  backend: GpuBackend,
  which: string | undefined,
  refused: BackendInfo | undefined,
  devices: readonly BackendInfo[],
): string {
  if (refused)
    return `The device ${refused.device} (${refused.description}) of ${backend} cannot be used: ${refused.problem}`;
  const { file, problem } = gpuReport(backend);
  if (which !== undefined && devices.length > 0)
    return `The backend ${backend} has no device ${JSON.stringify(which)}; there are: ${devices.map(({ device, description }, i) => `${i} ${device} (${description})`).join(', ')}`;
  if (problem !== undefined) return `The backend ${backend} does not load here: ${problem}`;
  if (file === undefined) return notInstalled(backend);
  const passedOver = devices.map(({ description, problem: why }) => `${description}: ${why}`).join('; ');
  return `The backend ${backend} has no device${passedOver ? ` (${passedOver})` : '; is the driver installed?'}`;
}

function devicesOf(backend: GpuBackend): readonly BackendInfo[] {
  const { file, devices, problem } = gpuReport(backend);
  if (file === undefined || problem === undefined || devices.length > 0) return devices;
  return [
    {
      ...{ name: backend, device: '', description: file, type: 'gpu', memory: { free: 0, total: 0 } },
      ...{ opens: false, problem },
    } as const,
  ];
}
