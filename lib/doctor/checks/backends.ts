/** Checks the compute devices: those of installed backends, and GPUs that no installed backend can use. */
import { dirname } from 'node:path';
import { type GpuBackend, gpuBackends } from '../../binding/backend-choice.js';
import { gpuPackages } from '../../binding/platform.js';
import type { AddonReport } from '../../binding/probe.js';
import type { BackendInfo, BackendName } from '../../binding/types.js';
import { shownBytes } from '../../modules/memory-fit.js';
import { installSystemPackage } from '../distribution.js';
import type { DoctorEnvironment } from '../environment.js';
import { counted, fault, ok, type Result, warning } from '../finding.js';
import {
  type DriverProblem,
  driverProblem,
  type GpuHardware,
  gpuHardware,
  vendorNames,
} from '../gpu-hardware.js';
import { addPackage, isClone, ownVersion, reinstall } from '../installed.js';
import { explainFailure } from '../load-failure.js';

/** A GPU backend whose addon exists. */
interface Installed {
  readonly backend: GpuBackend;
  readonly source: string;
  readonly file: string;
  readonly report: AddonReport;
}

export async function checkBackends(environment: DoctorEnvironment): Promise<readonly Result[]> {
  const installed = (await Promise.all(gpuBackends.map((name) => probeBackend(environment, name)))).flat();
  const devices = [...(await cpuDevices(environment)), ...installed.flatMap(({ report }) => report.devices)];
  const usable = devices.filter(({ opens }) => opens);
  const hardware = gpuHardware(environment);
  const problems = hardware.map((gpu) => ({ gpu, problem: driverProblem(environment, gpu) }));
  return [
    summary(usable, devices),
    ...installed.flatMap((addon) => addonProblem(environment, addon, problems)),
    ...problems.flatMap((entry) => unusedGpu(environment, entry, installed)),
  ];
}

async function probeBackend(
  environment: DoctorEnvironment,
  backend: GpuBackend,
): Promise<readonly Installed[]> {
  // The loader uses the first one that exists.
  const candidate = environment.binaries(backend).find(({ file }) => file !== undefined);
  if (candidate?.file === undefined) return [];
  const { source, file } = candidate;
  return [{ backend, source, file, report: await environment.probe(backend, file) }];
}

/** Returns the path of the native binary that loads; undefined if none does. */
export async function loadingBinary(environment: DoctorEnvironment): Promise<string | undefined> {
  for (const { file } of environment.binaries('cpu'))
    if (file !== undefined && (await environment.probe('cpu', file)).problem === undefined) return file;
  return undefined;
}

/** Returns the CPU as a device, if the native binary loads. */
export async function cpuDevices(environment: DoctorEnvironment): Promise<readonly BackendInfo[]> {
  const file = await loadingBinary(environment);
  return file === undefined ? [] : (await environment.probe('cpu', file)).devices;
}

function summary(usable: readonly BackendInfo[], devices: readonly BackendInfo[]): Result {
  const details = devices.map(({ name, device, description, memory, opens, problem }) => {
    const size = memory.total > 0 ? `, ${shownBytes(memory.free)} of ${shownBytes(memory.total)} free` : '';
    return `${name.padEnd(6)}  ${device || '-'}, ${description}${size}${opens ? '' : `; cannot be used: ${problem}`}`;
  });
  const facts = { details, data: { devices } };
  if (usable.length > 0) return ok(`${counted(usable.length, 'device')} can compute`, facts);
  // The check of the binaries has the command.
  return warning('No device can compute, because no native binary loads', undefined, facts);
}

type Checked = { readonly gpu: GpuHardware; readonly problem: DriverProblem | undefined };

/** Returns the fault of an installed backend that has no usable device. */
function addonProblem(
  environment: DoctorEnvironment,
  { backend, source, file, report }: Installed,
  hardware: readonly Checked[],
): readonly Result[] {
  if (report.devices.some(({ opens }) => opens)) return [];
  const data = { backend, source, file };
  // The driver is the likelier reason than what the loader or ggml says.
  const driver = hardware.find(({ gpu, problem }) => problem !== undefined && suits(backend, gpu));
  const facts = { details: detailsOf(report), data };
  if (driver?.problem) {
    const { gpu, problem } = driver;
    return [
      fault(
        `The ${vendorNames[gpu.vendor]} GPU cannot be used by ${source}: ${problem.text}`,
        problem.command,
        facts,
      ),
    ];
  }
  if (report.problem !== undefined) {
    const why = explainFailure(report.problem);
    return [
      fault(
        `The ${backend} backend of ${source} ${why.text}`,
        repair(environment, backend, file, why),
        facts,
      ),
    ];
  }
  const message = `The ${backend} backend of ${source} has no device that can be opened`;
  if (hardware.length === 0)
    return [warning(`${message}; this system lists no GPU`, `npm uninstall ${source}`, facts)];
  return [fault(message, showDevices(backend), facts)];
}

function repair(
  environment: DoctorEnvironment,
  backend: GpuBackend,
  file: string,
  { kind, library = '' }: ReturnType<typeof explainFailure>,
): string {
  const build = `npx safelight build --${backend}`;
  if (kind === 'library') {
    const driver = library.startsWith('libcuda') ? 'nvidia' : library;
    return installSystemPackage(environment, driver) ?? build;
  }
  const isPackage = file.includes('@safelight');
  return kind === 'damaged' && isPackage ? reinstall(environment, dirname(file)) : build;
}

/** Returns the findings of a GPU that is present while no backend for it is installed. */
function unusedGpu(
  environment: DoctorEnvironment,
  { gpu, problem }: Checked,
  installed: readonly Installed[],
): readonly Result[] {
  if (installed.some(({ backend }) => suits(backend, gpu))) return [];
  const vendor = vendorNames[gpu.vendor];
  const facts = { data: { vendor: gpu.vendor, place: gpu.place } };
  if (problem)
    return [warning(`The ${vendor} GPU (${gpu.place}) is not used: ${problem.text}`, problem.command, facts)];
  const backend = gpu.vendor === 'nvidia' ? 'cuda' : 'vulkan';
  return [
    warning(
      `The ${vendor} GPU (${gpu.place}) is not used: no backend for it is installed`,
      installBackend(environment, backend),
      facts,
    ),
  ];
}

function installBackend(environment: DoctorEnvironment, backend: GpuBackend): string {
  const name = `${environment.platformName}-${backend}`;
  if (isClone(environment) || !gpuPackages.includes(name)) return `npx safelight build --${backend}`;
  return addPackage(environment, `@safelight/${name}@${ownVersion(environment.packageFolder)}`, true);
}

function suits(backend: BackendName, { vendor }: GpuHardware): boolean {
  return backend === 'vulkan' || (backend === 'cuda' && vendor === 'nvidia');
}

function showDevices(backend: GpuBackend): string {
  return backend === 'cuda' ? 'nvidia-smi' : 'npx safelight backends';
}

function detailsOf({ devices, problem }: AddonReport): readonly string[] {
  const skipped = devices.map(({ description, problem: reason }) => `${description}: ${reason}`);
  return problem === undefined ? skipped : [problem, ...skipped];
}
