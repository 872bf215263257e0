/**
 * The process in which the checks run. It sends the findings of each check to its parent, which ends it when they take
 * too long.
 */
import { runChecks } from './diagnose.js';
import { currentEnvironment } from './environment.js';
import type { DoctorOptions } from './options.js';

const options = JSON.parse(process.argv[2] ?? '{}') as DoctorOptions;
await runChecks(currentEnvironment(options), (check, findings) => process.send?.({ check, findings }));
process.disconnect?.();
