/** Runs the checks. */
import { checkBackends } from './checks/backends.js';
import { checkBinaries } from './checks/binaries.js';
import { checkCaches } from './checks/caches.js';
import { checkCpu } from './checks/cpu.js';
import { checkDisk } from './checks/disk.js';
import { checkLocks } from './checks/locks.js';
import { checkMemory } from './checks/memory.js';
import { checkModels } from './checks/models.js';
import { checkPackages } from './checks/packages.js';
import { checkPort } from './checks/port.js';
import { checkStarter } from './checks/starter.js';
import { checkSystem } from './checks/system.js';
import { checkTokenizers } from './checks/tokenizers.js';
import type { DoctorEnvironment } from './environment.js';
import { type CheckName, checkNames, type Finding, type Result, reasonOf, warning } from './finding.js';

type Check = (environment: DoctorEnvironment) => Promise<readonly Result[]>;

const checks: Readonly<Record<CheckName, Check>> = {
  system: checkSystem,
  cpu: checkCpu,
  binaries: checkBinaries,
  backends: checkBackends,
  memory: checkMemory,
  disk: checkDisk,
  caches: checkCaches,
  locks: checkLocks,
  models: checkModels,
  starter: checkStarter,
  tokenizers: checkTokenizers,
  packages: checkPackages,
  port: checkPort,
};

/** Runs one check. A check that fails itself is a warning; never rejects. */
export async function runCheck(
  environment: DoctorEnvironment,
  check: CheckName,
): Promise<readonly Finding[]> {
  let results: readonly Result[];
  try {
    results = await checks[check](environment);
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
