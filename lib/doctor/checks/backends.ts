/** Checks the compute devices: those of installed backends, and GPUs that no installed backend can use. */
import { dirname } from 'node:path';
import { gpuBackends, type GpuBackend } from '../../binding/backend-choice.js';
import type { AddonReport } from '../../binding/probe.js';
import type { BackendInfo, BackendName } from '../../binding/types.js';
import { installSystemPackage } from '../distribution.js';
import type { DoctorEnvironment } from '../environment.js';
import { fault, ok, type Result, warning } from '../finding.js';
import { type DriverProblem, driverProblem, type GpuHardware, gpuHardware, vendorNames } from '../gpu-hardware.js';
import { addPackage, isClone, ownVersion, reinstall } from '../installed.js';
import { explainFailure } from '../load-failure.js';
import { shownBytes } from '../../modules/memory-fit.js';

/** A GPU backend whose addon exists. */
interface Installed {
  readonly backend: GpuBackend;
  readonly source: string;
  readonly file: string;
  readonly report: AddonReport;
}

/** Platforms for which packages of GPU backends are published. */
const PUBLISHED = /^(?:linux|win32)-x64$/;

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
  const candidate = environment.binaries(backend).find(({ file }) => file !== undefined);
  if (candidate?.file === undefined) return [];
  const { source, file, problem } = candidate;
  const report: AddonReport =
    problem === undefined ? await environment.probe(backend, file) : { devices: [], problem };
  return [{ backend, source, file, report }];
}

/** Returns the CPU as a device, if the native binary loads. */
export async function cpuDevices(environment: DoctorEnvironment): Promise<readonly BackendInfo[]> {
  const candidate = environment.binaries('cpu').find(({ file }) => file !== undefined);
  if (candidate?.file === undefined || candidate.problem !== undefined) return [];
  return (await environment.probe('cpu', candidate.file)).devices;
}

function summary(usable: readonly BackendInfo[], devices: readonly BackendInfo[]): Result {
  const details = devices.map(({ name, device, description, memory, opens, problem }) => {
    const size = memory.total > 0 ? `, ${shownBytes(memory.free)} of ${shownBytes(memory.total)} free` : '';
    return `${name.padEnd(6)}  ${device || '-'}: ${description}${size}${opens ? '' : `; cannot be used: ${problem}`}`;
  });
  const facts = { details, data: { devices } };
  const names = [...new Set(usable.map(({ name }) => name))];
  return names.length === 0
    ? // The check of the binary has the command.
      warning('No device can compute, because no native binary loads', undefined, facts)
    : ok(`Devices of ${names.join(', ')} can compute`, facts);
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
      fault(`The ${backend} backend of ${source} ${why.text}`, repair(environment, backend, file, why), facts),
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
    return [
      warning(`The ${vendor} GPU (${gpu.place}) is not used: ${problem.text}`, problem.command, facts),
    ];
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
  const { platformName, packageFolder } = environment;
  if (isClone(environment) || !PUBLISHED.test(platformName)) return `npx safelight build --${backend}`;
  return addPackage(environment, `@safelight/${platformName}-${backend}@${ownVersion(packageFolder)}`);
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
