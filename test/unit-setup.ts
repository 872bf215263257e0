/**
 * Enforces the rule of the unit tests (vitest.config.ts): in this project, loading Safelight's native addon, starting a process and
 * listening on a port throw.
 */
import childProcess from 'node:child_process';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';

const refuse = (what: string) => () => {
  throw new Error(
    `A unit test must not ${what}. Exclude its file from the project "unit" in vitest.config.ts`,
  );
};

const { dlopen } = process;
process.dlopen = (module, filename, flags) => {
  if (/safelight[^/\\]*\.node$/.test(filename)) refuse('load the native addon')();
  return flags === undefined ? dlopen(module, filename) : dlopen(module, filename, flags);
};
for (const name of ['exec', 'execFile', 'execFileSync', 'execSync', 'fork', 'spawn', 'spawnSync'] as const)
  Object.assign(childProcess, { [name]: refuse('start a process') });
net.Server.prototype.listen = refuse('listen on a port');
syncBuiltinESMExports();
