/** The Linux distribution, and its commands for libraries and drivers. */
import { readFileSync } from 'node:fs';
import type { DoctorEnvironment } from './environment.js';

type System = Pick<DoctorEnvironment, 'system'>;
type Manager = 'apt' | 'dnf' | 'apk' | 'pacman' | 'zypper';

export interface Distribution {
  /** Such as `Debian GNU/Linux 12 (bookworm)`. */
  readonly name: string;
  /** `ID` and `ID_LIKE` of os-release. */
  readonly ids: readonly string[];
}

/** Reads os-release; undefined if there is none. */
export function distribution({ system }: System): Distribution | undefined {
  for (const path of ['/etc/os-release', '/usr/lib/os-release']) {
    let text: string;
    try {
      text = readFileSync(system(path), 'utf8');
    } catch {
      continue;
    }
    const value = (key: string) => new RegExp(`^${key}="?([^"\\n]*)"?$`, 'm').exec(text)?.[1] ?? '';
    const ids = [value('ID'), ...value('ID_LIKE').split(' ')].filter((id) => id !== '');
    return { name: value('PRETTY_NAME') || value('NAME') || 'Linux', ids };
  }
  return undefined;
}

const MANAGERS: readonly (readonly [Manager, readonly string[]])[] = [
  ['apt', ['debian', 'ubuntu']],
  ['dnf', ['fedora', 'rhel', 'centos']],
  ['apk', ['alpine']],
  ['pacman', ['arch']],
  ['zypper', ['suse', 'opensuse']],
];

const INSTALL: Readonly<Record<Manager, string>> = {
  apt: 'sudo apt install',
  dnf: 'sudo dnf install',
  apk: 'sudo apk add',
  pacman: 'sudo pacman -S',
  zypper: 'sudo zypper install',
};

/** Packages of libraries and drivers; a missing one has no package of its own there. */
const PACKAGES: Readonly<Record<string, Partial<Record<Manager, string>>>> = {
  'libvulkan.so.1': {
    ...{ apt: 'libvulkan1', dnf: 'vulkan-loader', apk: 'vulkan-loader' },
    ...{ pacman: 'vulkan-icd-loader', zypper: 'libvulkan1' },
  },
  'libstdc++.so.6': {
    ...{ apt: 'libstdc++6', dnf: 'libstdc++', apk: 'libstdc++' },
    ...{ pacman: 'gcc-libs', zypper: 'libstdc++6' },
  },
  'libgcc_s.so.1': {
    ...{ apt: 'libgcc-s1', dnf: 'libgcc', apk: 'libgcc', pacman: 'gcc-libs', zypper: 'libgcc_s1' },
  },
  'libgomp.so.1': {
    ...{ apt: 'libgomp1', dnf: 'libgomp', apk: 'libgomp', pacman: 'gcc-libs', zypper: 'libgomp1' },
  },
  nvidia: { apt: 'nvidia-driver', dnf: 'akmod-nvidia', pacman: 'nvidia' },
  amd: {
    ...{ apt: 'mesa-vulkan-drivers', dnf: 'mesa-vulkan-drivers', apk: 'mesa-vulkan-ati' },
    ...{ pacman: 'vulkan-radeon', zypper: 'libvulkan_radeon' },
  },
  intel: {
    ...{ apt: 'mesa-vulkan-drivers', dnf: 'mesa-vulkan-drivers', apk: 'mesa-vulkan-intel' },
    ...{ pacman: 'vulkan-intel', zypper: 'libvulkan_intel' },
  },
};

/**
 * Returns the distribution's command that installs a library (`libvulkan.so.1`) or a driver (`nvidia`, `amd`, `intel`);
 * undefined if it is unknown.
 */
export function installSystemPackage(environment: System, name: string): string | undefined {
  const ids = distribution(environment)?.ids ?? [];
  if (name === 'nvidia' && ids[0] === 'ubuntu') return 'sudo ubuntu-drivers install';
  const manager = MANAGERS.find(([, names]) =>
    names.some((id) => ids.some((own) => own.startsWith(id))),
  )?.[0];
  const packageName = manager && PACKAGES[name]?.[manager];
  return packageName === undefined ? undefined : `${INSTALL[manager!]} ${packageName}`;
}
