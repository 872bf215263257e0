/** Injects faults of GPUs: devices and drivers as files of the system, and an addon that needs a driver. */
import { existsSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { platformName } from '../../lib/binding/platform.js';
import type { AddonReport } from '../../lib/binding/probe.js';
import type { BackendInfo, BackendName } from '../../lib/binding/types.js';
import { addonWith, type Installation, installation, manifest } from '../support/doctor.js';

const CUDA = '@safelight/linux-x64-cuda';
const isThere = platformName() === 'linux-x64';
if (!isThere) console.log('Skipped: GPU packages are tested on linux-x64 only.');

let sound: Installation;
beforeEach(async () => {
  sound = await installation();
});
afterEach(() => sound[Symbol.dispose]());

/** Adds a GPU to the PCI bus. */
function addGpu(vendor: string): void {
  const folder = 'system/sys/bus/pci/devices/0000:01:00.0';
  sound.write(`${folder}/vendor`, `${vendor}\n`);
  sound.write(`${folder}/class`, '0x030000\n');
}

function addNvidiaDriver(): void {
  for (const path of ['proc/driver/nvidia/version', 'dev/nvidiactl', 'usr/lib64/libcuda.so.1'])
    sound.write(`system/${path}`, '');
}

function installCuda(): void {
  sound.write(
    `project/node_modules/${CUDA}/package.json`,
    JSON.stringify({ name: CUDA, version: manifest.version }),
  );
  const addon = addonWith(/ld-linux-x86-64\.so\.2/, 'libcuda.so.1');
  sound.write(`project/node_modules/${CUDA}/safelight-cuda.node`, addon);
}

const device: BackendInfo = {
  ...({ name: 'cuda', device: 'CUDA0', description: 'NVIDIA RTX', type: 'gpu', opens: true } as const),
  memory: { free: 8e9, total: 16e9 },
};

/** Probes as on a machine with a GPU. */
const withGpu = (devices: readonly BackendInfo[]) => async (backend: BackendName, file: string) =>
  backend === 'cuda' ? ({ devices } satisfies AddonReport) : sound.environment.probe(backend, file);

describe.runIf(isThere)('a GPU', () => {
  it('is not missed on a machine without one', async () => {
    const findings = await sound.run('backends');
    expect(findings.map(({ status }) => status)).toEqual(['ok']);
  });

  it('without its driver is a fault if its backend is installed', async () => {
    installCuda();
    addGpu('0x10de');
    const findings = await sound.run('backends');
    expect(findings.map(({ status }) => status)).toEqual(['ok', 'fault']);
    const [, fault] = findings;
    expect(fault?.message).toBe(
      `The NVIDIA GPU cannot be used by ${CUDA}: its driver is not loaded (/proc/driver/nvidia does not exist)`,
    );
    expect(fault?.command).toBe('sudo apt install nvidia-driver');
    if (!existsSync('/proc/driver/nvidia')) expect(fault?.details[0]).toContain('libcuda.so.1');

    addNvidiaDriver();
    const repaired = await sound.run('backends', { probe: withGpu([device]) });
    expect(repaired.map(({ status }) => status)).toEqual(['ok']);
    expect(repaired[0]?.details.join()).toContain('NVIDIA RTX, 8.0 GB of 16.0 GB free');
  });

  it('without its driver is a warning if no backend is installed', async () => {
    addGpu('0x10de');
    const [, finding] = await sound.run('backends');
    expect(finding).toMatchObject({ status: 'warning', command: 'sudo apt install nvidia-driver' });
  });

  it('without its backend is a warning that names the package', async () => {
    addGpu('0x10de');
    addNvidiaDriver();
    const [, finding] = await sound.run('backends');
    expect(finding?.status).toBe('warning');
    expect(finding?.message).toBe(
      'The NVIDIA GPU (0000:01:00.0) is not used: no backend for it is installed',
    );
    expect(finding?.command).toBe(`npm install --save-optional ${CUDA}@${manifest.version}`);
  });

  it('that a container may not use is named with the option of docker', async () => {
    installCuda();
    addGpu('0x10de');
    sound.write('system/proc/driver/nvidia/version', '');
    sound.write('system/.dockerenv', '');
    const [, fault] = await sound.run('backends');
    expect(fault?.message).toContain('this system has no /dev/nvidiactl');
    expect(fault?.command).toBe('docker run --gpus all IMAGE');
  });

  it('that cannot be opened is a fault with the reason', async () => {
    installCuda();
    addGpu('0x10de');
    addNvidiaDriver();
    const broken: BackendInfo = { ...device, opens: false, problem: 'out of memory' };
    const [, fault] = await sound.run('backends', { probe: withGpu([broken]) });
    expect(fault?.message).toBe(`The cuda backend of ${CUDA} has no device that can be opened`);
    expect(fault?.details).toEqual(['NVIDIA RTX: out of memory']);
    expect(fault?.command).toBe('nvidia-smi');
  });

  it('of AMD needs a Vulkan driver', async () => {
    addGpu('0x1002');
    const node = sound.write('system/dev/dri/renderD128', '');
    expect(existsSync(node)).toBe(true);
    const [, finding] = await sound.run('backends');
    expect(finding?.message).toBe(
      'The AMD GPU (0000:01:00.0) is not used: no Vulkan driver is installed for it',
    );
    expect(finding?.command).toBe('sudo apt install mesa-vulkan-drivers');

    sound.write('system/usr/share/vulkan/icd.d/radeon_icd.x86_64.json', '{}');
    const [, other] = await sound.run('backends');
    expect(other?.command).toBe(
      `npm install --save-optional @safelight/linux-x64-vulkan@${manifest.version}`,
    );
  });

  it('that cannot compute, such as that of a virtual machine, is not mentioned', async () => {
    addGpu('0x1234');
    expect(await sound.run('backends')).toHaveLength(1);
  });
});
