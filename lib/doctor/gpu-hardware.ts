/** GPUs of the machine and the state of their drivers, from files of the system; no driver is loaded. */
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { installSystemPackage } from './distribution.js';
import type { DoctorEnvironment } from './environment.js';

export type GpuVendor = 'nvidia' | 'amd' | 'intel';

export const vendorNames: Readonly<Record<GpuVendor, string>> = {
  nvidia: 'NVIDIA',
  amd: 'AMD',
  intel: 'Intel',
};

/** A GPU of the machine. */
export interface GpuHardware {
  readonly vendor: GpuVendor;
  /** Its place on the PCI bus, such as `0000:01:00.0`, or another description. */
  readonly place: string;
}

/** A missing part of a driver. */
export interface DriverProblem {
  /** A clause, such as `its driver is not loaded`. */
  readonly text: string;
  readonly command: string;
}

/** PCI vendors whose GPUs compute. */
const VENDORS: Readonly<Record<string, GpuVendor>> = {
  '0x10de': 'nvidia',
  '0x1002': 'amd',
  '0x8086': 'intel',
};
/** PCI class of display controllers. */
const DISPLAY = '0x03';

/** Folders in which the driver's libraries are. */
const LIBRARIES = [
  ...['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib'],
  ...['/usr/local/lib', '/usr/lib/wsl/lib', '/usr/local/nvidia/lib64', '/run/opengl-driver/lib'],
];
/** Folders of the files that describe Vulkan drivers to the loader. */
const ICD = ['/usr/share/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', '/etc/vulkan/icd.d'];

/** Returns the GPUs that the system lists; empty on systems other than Linux and Windows, and if there are none. */
export function gpuHardware(environment: DoctorEnvironment): readonly GpuHardware[] {
  const { system, platform } = environment;
  if (platform === 'win32') {
    // The driver's library is the only trace that needs no other program.
    const driver = join(environment.env.SystemRoot ?? 'C:\\Windows', 'System32', 'nvcuda.dll');
    return existsSync(driver) ? [{ vendor: 'nvidia', place: driver }] : [];
  }
  const folder = system('/sys/bus/pci/devices');
  const found: GpuHardware[] = [];
  for (const place of entries(folder)) {
    const vendor = VENDORS[text(join(folder, place, 'vendor'))];
    if (vendor && text(join(folder, place, 'class')).startsWith(DISPLAY)) found.push({ vendor, place });
  }
  if (found.length === 0 && entries(system('/dev')).some((name) => /^nvidia\d+$/.test(name)))
    found.push({ vendor: 'nvidia', place: '/dev' });
  if (found.length === 0 && existsSync(system('/usr/lib/wsl/lib/libcuda.so.1')))
    found.push({ vendor: 'nvidia', place: 'WSL' });
  return found;
}

/** Returns the missing part of a GPU's driver; undefined if it is complete as far as files show. */
export function driverProblem(environment: DoctorEnvironment, gpu: GpuHardware): DriverProblem | undefined {
  if (environment.platform !== 'linux') return undefined;
  return gpu.vendor === 'nvidia' ? nvidiaProblem(environment, gpu) : mesaProblem(environment, gpu);
}

function nvidiaProblem(environment: DoctorEnvironment, gpu: GpuHardware): DriverProblem | undefined {
  const { system } = environment;
  const install = installSystemPackage(environment, 'nvidia') ?? inspect(gpu);
  const isWsl = gpu.place === 'WSL';
  if (!isWsl && !existsSync(system('/proc/driver/nvidia/version')))
    return { text: 'its driver is not loaded (/proc/driver/nvidia does not exist)', command: install };
  if (!isWsl && !existsSync(system('/dev/nvidiactl'))) {
    const command = isContainer(environment)
      ? 'docker run --gpus all IMAGE'
      : 'sudo nvidia-modprobe --unified --create-nvidia-device-file=0';
    return { text: 'its driver is loaded, but this system has no /dev/nvidiactl', command };
  }
  if (!hasLibrary(environment, 'libcuda.so.1'))
    return { text: 'the library libcuda.so.1 of its driver is missing', command: install };
  return undefined;
}

function mesaProblem(environment: DoctorEnvironment, gpu: GpuHardware): DriverProblem | undefined {
  const { system } = environment;
  const nodes = entries(system('/dev/dri')).filter((name) => name.startsWith('renderD'));
  if (nodes.length === 0) {
    const command = isContainer(environment) ? 'docker run --device /dev/dri IMAGE' : inspect(gpu);
    return { text: 'the system has no /dev/dri/renderD* for it', command };
  }
  if (!nodes.some((name) => isUsable(system(`/dev/dri/${name}`))))
    return {
      text: `this user may not open /dev/dri/${nodes[0]}`,
      command: 'sudo usermod --append --groups render "$USER"',
    };
  if (!hasVulkanDriver(environment))
    return {
      text: 'no Vulkan driver is installed for it',
      command: installSystemPackage(environment, gpu.vendor) ?? inspect(gpu),
    };
  return undefined;
}

/** Returns true if a Vulkan driver other than Mesa's software implementation is installed. */
function hasVulkanDriver({ env, system }: DoctorEnvironment): boolean {
  if (env.VK_DRIVER_FILES || env.VK_ICD_FILENAMES) return true;
  return ICD.some((folder) =>
    entries(system(folder)).some((name) => name.endsWith('.json') && !name.startsWith('lvp_')),
  );
}

function hasLibrary({ env, system }: DoctorEnvironment, name: string): boolean {
  const more = (env.LD_LIBRARY_PATH ?? '').split(':').filter((folder) => folder !== '');
  return [...LIBRARIES, ...more].some((folder) => existsSync(system(join(folder, name))));
}

/** Returns true in a container of Docker, Podman or Kubernetes. */
export function isContainer({ env, system }: Pick<DoctorEnvironment, 'env' | 'system'>): boolean {
  return (
    existsSync(system('/.dockerenv')) ||
    existsSync(system('/run/.containerenv')) ||
    Boolean(env.KUBERNETES_SERVICE_HOST)
  );
}

/** Returns the command that prints the kernel driver of a GPU. */
function inspect({ place }: GpuHardware): string {
  return /^[\da-f]+:/.test(place) ? `lspci -k -s ${place}` : 'lspci -k';
}

function isUsable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function entries(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}
