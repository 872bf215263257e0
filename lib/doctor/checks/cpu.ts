/** Checks the instruction sets of the processor and the kernels that they select. */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { missingInstructions } from '../../binding/cpu.js';
import { defined } from '../../defined.js';
import type { DoctorEnvironment } from '../environment.js';
import { fault, ok, type Result } from '../finding.js';
import { cpuDevices } from './backends.js';

/** Instruction sets that kernels use, with Linux's names on x64 and Arm. */
const FEATURES = [
  ...[
    'avx',
    'avx2',
    'fma',
    'f16c',
    'avx_vnni',
    'avx512f',
    'avx512_vnni',
    'avx512_bf16',
    'amx_bf16',
    'amx_int8',
  ],
  ...['asimd', 'asimddp', 'asimdhp', 'i8mm', 'bf16', 'sve'],
];

export async function checkCpu(environment: DoctorEnvironment): Promise<readonly Result[]> {
  const { arch, env } = environment;
  const info = cpuInfo(environment);
  const model = cpus()[0]?.model.trim() || 'unknown processor';
  const features = info === undefined ? [] : featuresOf(info);
  const missing = missingInstructions(arch, info);
  const [device] = await cpuDevices(environment);
  const { kernels, products } = device ?? {};
  const data = defined({ model, arch, cores: cpus().length, features, missing, kernels, products });
  const details = [
    ...(features.length > 0 ? [`instruction sets: ${features.join(', ')}`] : []),
    ...(kernels === undefined ? [] : [`kernels: ${kernels}, products in ${products?.join(', ')}`]),
    ...(env.SAFELIGHT_ISA ? [`SAFELIGHT_ISA=${env.SAFELIGHT_ISA} selects the kernels`] : []),
  ];
  if (missing.length > 0)
    return [
      fault(
        `The processor has no ${missing.join(', ')}, which the native binary needs; a virtual machine may hide them (QEMU: -cpu host)`,
        'lscpu',
        { details, data },
      ),
    ];
  return [ok(`${model}, ${cpus().length} logical cores`, { details, data })];
}

function cpuInfo({ system }: DoctorEnvironment): string | undefined {
  try {
    return readFileSync(system('/proc/cpuinfo'), 'utf8');
  } catch {
    return undefined; // not Linux
  }
}

function featuresOf(info: string): string[] {
  const present = new Set(/^(?:flags|Features)\s*:(.*)$/m.exec(info)?.[1]?.trim().split(/\s+/));
  return FEATURES.filter((name) => present.has(name));
}
