import { readFileSync } from 'node:fs';

/** Instruction sets for which the x64 binary is compiled (x86-64-v3), with Linux's names. */
const REQUIRED = ['avx', 'avx2', 'fma', 'f16c', 'bmi2', 'sse4_2'];

/**
 * Returns the instruction sets that the binary requires and this processor lacks; empty if none are missing or it is
 * unknown. Checked before the binary is loaded, which would otherwise end the process with SIGILL.
 *
 * @param cpuinfo content of /proc/cpuinfo, or undefined if it does not exist
 */
export function missingInstructions(arch: string = process.arch, cpuinfo = readCpuInfo()): string[] {
  const flags = arch === 'x64' ? /^flags\s*:(.*)$/m.exec(cpuinfo ?? '')?.[1] : undefined;
  if (flags === undefined) return [];
  const present = new Set(flags.trim().split(/\s+/));
  return REQUIRED.filter((name) => !present.has(name));
}

function readCpuInfo(): string | undefined {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    return undefined; // not Linux
  }
}
