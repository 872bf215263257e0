import { SafelightError } from '../errors.js';
import { checkBackend, type GpuBackend, gpuBackends, parseBackend } from './backend-choice.js';
import { addon } from './binding.js';
import { gpuAddon, gpuReport, notInstalled } from './gpu.js';
import { guarded } from './task.js';
import type { BackendChoice, BackendInfo, BackendName, NativeAddon, Products } from './types.js';

/**
 * Returns every usable device, and those that exist but cannot be used (`opens` is false, `problem` states the reason).
 * The first call opens the devices of installed GPU backends in a child process.
 */
export function backends(): BackendInfo[] {
  return [...cpuDevices(), ...gpuBackends.flatMap(devicesOf)];
}

/** Returns the instruction set of the CPU's kernels, such as `avx2`. */
export function cpuKernels(): string | undefined {
  return cpuDevice()?.kernels;
}

/** Returns the precisions whose products the CPU's kernels compute directly. */
export function cpuProducts(): readonly Products[] {
  return cpuDevice()?.products ?? ['f32'];
}

function cpuDevice(): BackendInfo | undefined {
  return cpuDevices().find(({ name }) => name === 'cpu');
}

function cpuDevices(): BackendInfo[] {
  return guarded(() => addon().backends()).map((device) => ({ ...device, opens: true }));
}

/** Returns the number of physical cores available to this process, the default number of threads. */
export function physicalCores(): number {
  return guarded(() => addon().physicalCores());
}

/** Returns the addon of a backend. @throws BACKEND_UNAVAILABLE */
export function addonOf(backend: BackendName): NativeAddon {
  return backend === 'cpu' ? addon() : gpuAddon(backend);
}

/** Returns the bytes that can currently be allocated on a device; undefined if unknown. */
export function freeMemory({
  backend,
  device,
}: Pick<ChosenBackend, 'backend' | 'device'>): number | undefined {
  const matching = guarded(() => addonOf(backend).backends()).filter(({ name }) => name === backend);
  const free = (matching.find((info) => info.device === device) ?? matching[0])?.memory.free;
  return free === undefined || free === 0 ? undefined : free;
}

/** The device of a module. */
export interface ChosenBackend {
  readonly backend: BackendName;
  /** ggml's name of the GPU. */
  readonly device?: string;
  /** The reason why `auto` does not use an existing GPU. */
  readonly warning?: string;
}

/**
 * Selects the device. `auto` selects the first GPU that can be opened, else the CPU.
 * @param available devices, for tests
 * @throws INVALID_OPTION, BACKEND_UNAVAILABLE naming the device and the reason
 */
export function chooseBackend(choice: BackendChoice, available?: readonly BackendInfo[]): ChosenBackend {
  const parsed = parseBackend(checkBackend(choice))!;
  const devices = (backend: GpuBackend) =>
    available?.filter(({ name }) => name === backend) ?? devicesOf(backend);
  if (parsed.name === 'cpu') return { backend: 'cpu' };
  if (parsed.name !== 'auto') return named(parsed.name, parsed.which, devices(parsed.name));
  const all = gpuBackends.flatMap(devices);
  const first = all.find(({ opens }) => opens);
  if (first) return { backend: first.name, device: first.device };
  // Devices that ggml skips have no name; no warning is needed for them, since they are rarely suitable.
  const [unusable] = all.filter(({ device }) => device !== '');
  if (!unusable) return { backend: 'cpu' };
  return {
    backend: 'cpu',
    warning: `Computing on the CPU: ${unusable.name} cannot use ${unusable.description}: ${unusable.problem}`,
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

/** Selects devices by index, by ggml's name, or by a part of the driver's description. */
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
  unusable: BackendInfo | undefined,
  devices: readonly BackendInfo[],
): string {
  if (unusable)
    return `The device ${unusable.device} (${unusable.description}) of ${backend} cannot be used: ${unusable.problem}`;
  const { file, problem } = gpuReport(backend);
  if (which !== undefined && devices.length > 0)
    return `The backend ${backend} has no device ${JSON.stringify(which)}; there are: ${devices.map(({ device, description }, i) => `${i} ${device} (${description})`).join(', ')}`;
  if (problem !== undefined) return `The backend ${backend} cannot be loaded: ${problem}`;
  if (file === undefined) return notInstalled(backend);
  const passedOver = devices.map(({ description, problem: why }) => `${description}: ${why}`).join('; ');
  return `The backend ${backend} has no device${passedOver ? ` (${passedOver})` : '; check that the driver is installed'}`;
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
