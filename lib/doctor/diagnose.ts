/** Runs the checks. */
import type { DoctorEnvironment } from './environment.js';
import { type CheckName, checkNames, type Finding, type Result, reasonOf, warning } from './finding.js';

type Check = (environment: DoctorEnvironment) => Promise<readonly Result[]>;

/** Imported one by one: a missing package affects only the checks that use it. */
const checks: Readonly<Record<CheckName, () => Promise<Check>>> = {
  system: async () => (await import('./checks/system.js')).checkSystem,
  cpu: async () => (await import('./checks/cpu.js')).checkCpu,
  binaries: async () => (await import('./checks/binaries.js')).checkBinaries,
  backends: async () => (await import('./checks/backends.js')).checkBackends,
  memory: async () => (await import('./checks/memory.js')).checkMemory,
  disk: async () => (await import('./checks/disk.js')).checkDisk,
  caches: async () => (await import('./checks/caches.js')).checkCaches,
  locks: async () => (await import('./checks/locks.js')).checkLocks,
  models: async () => (await import('./checks/models.js')).checkModels,
  starter: async () => (await import('./checks/starter.js')).checkStarter,
  tokenizers: async () => (await import('./checks/tokenizers.js')).checkTokenizers,
  packages: async () => (await import('./checks/packages.js')).checkPackages,
  port: async () => (await import('./checks/port.js')).checkPort,
};

/** Runs one check. A check that fails itself is a warning; never rejects. */
export async function runCheck(
  environment: DoctorEnvironment,
  check: CheckName,
): Promise<readonly Finding[]> {
  let results: readonly Result[];
  try {
    const run = await checks[check]();
    results = await run(environment);
  } catch (error) {
    const details = error instanceof Error && error.stack ? error.stack.split('\n').slice(1, 4) : [];
    results = [warning(`The check failed: ${reasonOf(error)}`, undefined, { details })];
  }
  return results.map((result) => ({ check, ...result }));
}

/**
 * Runs all checks at the same time.
 * @param onCheck receives the findings of each check when it ends
 */
export async function runChecks(
  environment: DoctorEnvironment,
  onCheck: (check: CheckName, findings: readonly Finding[]) => void,
): Promise<void> {
  await Promise.all(checkNames.map(async (check) => onCheck(check, await runCheck(environment, check))));
}
