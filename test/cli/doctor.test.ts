import { execFile, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkNames, type DoctorReport } from '../../lib/doctor/finding.js';
import { MAIN, type Result } from '../support/cli.js';
import { freePort } from '../support/free-port.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'safelight-doctor-cli-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly uid?: number;
  readonly main?: string;
}

/** Runs `safelight doctor` with an empty home folder. */
function doctor(
  args: readonly string[],
  { env = {}, main = MAIN, ...more }: RunOptions = {},
): Promise<Result> {
  return new Promise((resolve) => {
    const options = { ...more, env: { ...process.env, HOME: folder, NO_COLOR: '', ...env } };
    execFile(process.execPath, [main, 'doctor', ...args], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

describe('safelight doctor', () => {
  it('prints the findings of all checks as JSON', async () => {
    const { code, stdout, stderr } = await doctor(['--json', '--port', `${await freePort()}`]);
    expect(stderr).toBe('');
    const { status, version, findings } = JSON.parse(stdout) as DoctorReport;
    expect(new Set(findings.map(({ check }) => check))).toEqual(new Set(checkNames));
    for (const name of ['system', 'cpu', 'binaries', 'starter', 'tokenizers', 'packages', 'port', 'locks'])
      for (const finding of findings.filter(({ check }) => check === name))
        expect(finding).toMatchObject({ status: 'ok' });
    expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    // The disk or the memory of the machine that runs the tests may be too small.
    expect(code).toBe(status === 'fault' ? 1 : 0);
  });

  it('prints aligned rows, a command for the fault and exit code 1', async () => {
    const port = await freePort();
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(port, '127.0.0.1', resolve);
    });
    const { code, stdout, stderr } = await doctor(['--port', `${port}`]);
    server.close();
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    const lines = stdout.split('\n');
    const row = lines.findIndex((line) => line.startsWith('port '));
    expect(lines[row]).toMatch(new RegExp(`^port        fault    Port ${port} is used by `));
    expect(lines[row + 1]).toMatch(/^ {21}run: npx safelight serve --port \d+$/);
    expect(lines.find((line) => line.startsWith('system '))).toMatch(/^system {6}ok {7}\S/);
    expect(stdout).toMatch(/\n1 fault, \d+ warnings?\.\n$/);
    expect(stdout).not.toContain('\u001b');
  });

  it.runIf(process.platform !== 'win32')('names an unreadable cache', async (context) => {
    const cache = join(folder, 'cache');
    mkdirSync(cache, { mode: 0o000 });
    // Root can read everything.
    const isRoot = process.getuid?.() === 0;
    if (
      isRoot &&
      spawnSync(process.execPath, ['-e', `require('fs').readFileSync('${MAIN}')`], { uid: 65_534 }).status !==
        0
    )
      return context.skip('root cannot run this checkout as another user');
    chmodSync(folder, 0o777);
    const { code, stdout } = await doctor(['--json', '--port', `${await freePort()}`], {
      env: { HF_HUB_CACHE: cache },
      ...(isRoot ? { uid: 65_534 } : {}),
    });
    chmodSync(cache, 0o700);
    const { findings } = JSON.parse(stdout) as DoctorReport;
    const fault = findings.find(({ check, status }) => check === 'caches' && status === 'fault');
    expect(fault?.message).toBe(`The Hugging Face cache ${cache} cannot be read (EACCES: permission denied)`);
    expect(fault?.command).toBe(`sudo chown -R "$(id -un)" ${cache}`);
    expect(code).toBe(1);
  });

  it('reports a missing package without which no check can start', async () => {
    const modules = join(folder, 'project/node_modules');
    const root = dirname(dirname(dirname(MAIN)));
    mkdirSync(join(modules, 'safelight'), { recursive: true });
    cpSync(join(root, 'package.json'), join(modules, 'safelight/package.json'));
    const web = join(root, 'dist/web');
    const filter = (path: string) => path !== web && !path.endsWith('.map');
    cpSync(join(root, 'dist'), join(modules, 'safelight/dist'), { recursive: true, filter });
    cpSync(join(root, 'package.json'), join(folder, 'project/package.json'));
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      dependencies: Readonly<Record<string, string>>;
    };
    for (const name of Object.keys(dependencies)) {
      if (name === 'detect-libc') continue;
      mkdirSync(dirname(join(modules, name)), { recursive: true });
      symlinkSync(join(root, 'node_modules', name), join(modules, name), 'junction');
    }
    const main = join(modules, 'safelight/dist/cli/main.js');
    const { code, stdout } = await doctor(['--json'], { main });
    const { findings } = JSON.parse(stdout) as DoctorReport;
    expect(findings).toHaveLength(1);
    expect(findings[0]).toMatchObject({
      ...{ check: 'packages', status: 'fault', command: 'npm install' },
      message: '1 package that Safelight needs is not installed: detect-libc',
    });
    expect(code).toBe(1);
  });
});
