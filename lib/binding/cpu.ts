import { readFileSync } from 'node:fs';

/** Instruction sets that the binary for x64 is compiled with (x86-64-v3), in Linux's spelling. */
const REQUIRED = ['avx', 'avx2', 'fma', 'f16c', 'bmi2', 'sse4_2'];

/**
 * Instruction sets that the binary needs and this processor lacks; empty where all are there or nobody says. Asked before the
 * binary is loaded, because it would end the process with SIGILL.
 *
 * @param cpuinfo the text of /proc/cpuinfo, or undefined where there is none
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
