/** Child processes of the checks: native code and other packages are loaded there, because they may crash. */
import { execFile } from 'node:child_process';
import { type AddonReport, type ChildResult, probeEnvironment, probing } from '../binding/probe.js';
import type { BackendName } from '../binding/types.js';

/** Milliseconds within which an addon must load and open its devices; drivers take longer than the CPU's. */
const CPU_PATIENCE = 15_000;
const GPU_PATIENCE = 50_000;

/** Runs Node.js with these arguments; never rejects. A process that takes longer than `patience` ms is killed. */
export function runNode(args: readonly string[], patience: number): Promise<ChildResult> {
  return new Promise((resolve) => {
    const options = {
      env: probeEnvironment(),
      timeout: patience,
      killSignal: 'SIGKILL' as const,
      maxBuffer: 2 ** 22,
      windowsHide: true,
    };
    try {
      execFile(process.execPath, [...args], options, (error, stdout, stderr) => {
        resolve({ stdout, stderr, how: howItEnded(error, patience) });
      });
    } catch (error) {
      // Out of processes or memory.
      resolve({ stdout: '', stderr: '', how: (error as Error).message });
    }
  });
}

function howItEnded(error: import('node:child_process').ExecFileException | null, patience: number): string {
  if (error === null) return 'exit code 0';
  if (error.killed) return `no response within ${patience / 1000} s`;
  return error.signal ?? `exit code ${error.code}`;
}

/** Returns a function that probes each addon once. */
export function cachedProbes(): (backend: BackendName, file: string) => Promise<AddonReport> {
  const reports = new Map<string, Promise<AddonReport>>();
  return (backend, file) => {
    const key = `${backend} ${file}`;
    const report = reports.get(key) ?? probeAddon(backend, file);
    reports.set(key, report);
    return report;
  };
}

async function probeAddon(backend: BackendName, file: string): Promise<AddonReport> {
  const steps = probing(backend, file);
  let step = steps.next();
  while (!step.done)
    step = steps.next(await runNode(step.value, backend === 'cpu' ? CPU_PATIENCE : GPU_PATIENCE));
  return step.value;
}
