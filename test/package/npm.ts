/** Runs the npm that comes with Node, without a shell. */
import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Root folder of this clone. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

/** Folder of npm-cli.js and npx-cli.js: of the npm that runs this process, or else of the npm installed with node. */
export const npmFolder = findNpm();

/** The reason for which npm cannot be run; empty if it can. */
export const npmMissing = existsSync(join(npmFolder, 'npm-cli.js'))
  ? ''
  : `npm is not installed in ${npmFolder}`;

/** Runs npm and returns its stdout and stderr. @throws Error that contains both if npm fails */
export function npmRun(
  cwd: string,
  env: NodeJS.ProcessEnv,
  ...args: string[]
): { stdout: string; stderr: string } {
  const all = [join(npmFolder, 'npm-cli.js'), '--loglevel=warn', '--no-audit', '--no-fund', ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, all, {
    cwd,
    env,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  if (status !== 0)
    throw new Error(`npm ${args.join(' ')} failed:\n${stdout.slice(-4000)}\n${stderr.slice(-4000)}`);
  return { stdout, stderr };
}

function findNpm(): string {
  const running = process.env.npm_execpath;
  if (running && basename(running) === 'npm-cli.js') return dirname(running);
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  return join(prefix, 'lib/node_modules/npm/bin');
}
