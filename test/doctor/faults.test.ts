/** Injects one fault at a time into a sound installation. */
import { mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cachedProbes } from '../../lib/doctor/run-node.js';
import {
  ADDON,
  addonWith,
  type Installation,
  installation,
  manifest,
  PLATFORM_PACKAGE,
  starterWithout,
} from '../support/doctor.js';

const { version } = manifest;
const isLinux = process.platform === 'linux';
if (!isLinux) console.log('Skipped: the tests that change an ELF binary need Linux.');

let sound: Installation;
beforeEach(async () => {
  sound = await installation();
});
afterEach(() => sound[Symbol.dispose]());

/** Runs a check of the sound installation and expects no fault. */
async function expectSound(check: Parameters<Installation['run']>[0]): Promise<void> {
  for (const { status, message } of await sound.run(check))
    expect([status, message]).toEqual(['ok', message]);
}

/** Expects exactly one fault, and that the environment has no other. */
async function faultOf(
  check: Parameters<Installation['run']>[0],
  fault: Parameters<Installation['run']>[1] = {},
) {
  const found = await sound.run(check, { probe: cachedProbes(), ...fault });
  const faults = found.filter(({ status }) => status === 'fault');
  expect(faults).toHaveLength(1);
  return faults[0]!;
}

describe('a missing or broken binary', () => {
  const binary = () => join(sound.modules, PLATFORM_PACKAGE, 'safelight.node');

  it('is not reported of a sound installation', () => expectSound('binaries'));

  it('names the missing platform package and the command that adds it', async () => {
    rmSync(join(sound.modules, PLATFORM_PACKAGE), { recursive: true });
    const { message, command, details } = await faultOf('binaries');
    expect(message).toMatch(/^No native binary for \S+ is installed$/);
    expect(command).toBe(`npm install --save-optional ${PLATFORM_PACKAGE}@${version}`);
    expect(details.join('\n')).toMatch(/@safelight\/\S+\s+not installed/);
  });

  it('suggests to include optional packages if those of sharp are missing too', async () => {
    rmSync(join(sound.modules, PLATFORM_PACKAGE), { recursive: true });
    rmSync(join(sound.modules, '@img'), { recursive: true });
    expect((await faultOf('binaries')).command).toBe('npm install --include=optional');
  });

  it('suggests to install a package without its binary again', async () => {
    rmSync(binary());
    const { message, command } = await faultOf('binaries');
    expect(message).toBe(`The package ${PLATFORM_PACKAGE} contains no native binary`);
    expect(command).toBe(`rm -rf ${join(sound.modules, PLATFORM_PACKAGE)} && npm install`);
  });

  it('uses the package manager of the project', async () => {
    rmSync(join(sound.modules, PLATFORM_PACKAGE), { recursive: true });
    sound.write('project/pnpm-lock.yaml', '');
    expect((await faultOf('binaries')).command).toBe(
      `pnpm add --save-optional ${PLATFORM_PACKAGE}@${version}`,
    );
  });

  it('suggests to compile on a platform without a package', async () => {
    const fault = await faultOf('binaries', {
      platformName: 'linux-riscv64',
      binaries: () => [{ source: '@safelight/linux-riscv64', problem: 'not installed' }],
    });
    expect(fault.command).toBe('npx safelight build');
  });

  it('names the system for which the installed binary is', async () => {
    rmSync(join(sound.modules, PLATFORM_PACKAGE), { recursive: true });
    sound.write('project/node_modules/@safelight/darwin-arm64/package.json', '{"version":"0.1.0"}');
    const { message, command } = await faultOf('binaries');
    expect(message).toMatch(/^No native binary for \S+ is installed, only for darwin-arm64$/);
    expect(command).toBe(`npm install --save-optional ${PLATFORM_PACKAGE}@${version}`);
  });

  it.runIf(isLinux)('recognizes a binary for musl on glibc', async () => {
    writeFileSync(binary(), addonWith(/libc\.so\.6/, 'libc.so'));
    const { message, command } = await faultOf('binaries');
    expect(message).toBe(`The native binary of ${PLATFORM_PACKAGE} is built for musl, this system has glibc`);
    expect(command).toBe(`rm -rf ${join(sound.modules, PLATFORM_PACKAGE)} && npm install`);
  });

  it.runIf(isLinux)('recognizes a binary for a newer glibc', async () => {
    writeFileSync(binary(), addonWith(/GLIBC_2\.\d\d/, 'GLIBC_9.99'));
    const { message, command } = await faultOf('binaries');
    expect(message).toBe(`The native binary of ${PLATFORM_PACKAGE} needs glibc 9.99 or newer`);
    expect(command).toBe('npx safelight build');
  });

  it('rejects a file that is not a binary', async () => {
    writeFileSync(binary(), 'not a binary');
    const { message, command } = await faultOf('binaries');
    expect(message).toContain('is not a complete binary for this system');
    expect(command).toBe(`rm -rf ${join(sound.modules, PLATFORM_PACKAGE)} && npm install`);
  });

  it.runIf(isLinux)('survives a binary that ends the process', async () => {
    writeFileSync(binary(), readFileSync(ADDON).subarray(0, 10_000));
    const { message, command } = await faultOf('binaries');
    expect(message).toContain('is truncated: it ends the process that loads it (SIGBUS)');
    expect(command).toContain('&& npm install');
  });

  it('warns of a broken binary if another one loads', async () => {
    sound.write('project/node_modules/safelight/build/Release/safelight.node', 'not a binary');
    const [finding] = await sound.run('binaries', { probe: cachedProbes() });
    expect(finding?.status).toBe('warning');
    expect(finding?.message).toMatch(
      /^The native binary of build\/Release .* that of @safelight\/\S+ is used$/,
    );
    expect(finding?.command).toBe('npx safelight build');
  });

  it('warns of a platform package of another version', async () => {
    sound.write(
      `project/node_modules/${PLATFORM_PACKAGE}/package.json`,
      `{"name":"${PLATFORM_PACKAGE}","version":"0.0.9"}`,
    );
    const [finding] = await sound.run('binaries');
    expect(finding?.status).toBe('warning');
    expect(finding?.message).toBe(`${PLATFORM_PACKAGE} has version 0.0.9, Safelight has ${version}`);
    expect(finding?.command).toBe(`npm install --save-optional ${PLATFORM_PACKAGE}@${version}`);
  });
});

describe('packages', () => {
  it('names a missing package', async () => {
    await expectSound('packages');
    rmSync(join(sound.modules, 'detect-libc'));
    const { message, command } = await faultOf('packages');
    expect(message).toBe('1 package that Safelight needs is not installed: detect-libc');
    expect(command).toBe('npm install');
  });

  it('names a native package that does not load', async () => {
    rmSync(join(sound.modules, 'sharp'));
    sound.write('project/node_modules/sharp/package.json', '{"name":"sharp","version":"3.0.0"}');
    sound.write('project/node_modules/sharp/index.js', "throw new Error('No native build was found');");
    const { message, command } = await faultOf('packages');
    expect(message).toBe(
      'The package sharp cannot be loaded, so images cannot be read or written: No native build was found',
    );
    expect(command).toBe('npm install --include=optional sharp@3.0.0');
  });
});

describe('the disk', () => {
  beforeEach(() => expectSound('disk'));

  it('reports a full disk', async () => {
    const { message, command } = await faultOf('disk', {
      diskSpace: async () => ({ free: 1e6, total: 500e9 }),
    });
    expect(message).toMatch(/^The disk of \S+ has 1\.0 MB of 500\.0 GB free, images and jobs need 64\.0 MB$/);
    expect(command).toMatch(/^du -xk \S+ \| sort -n \| tail -n 20$/);
  });

  it('reports a disk without free inodes', async () => {
    const { message } = await faultOf('disk', {
      diskSpace: async () => ({ free: 1e11, total: 5e11, freeInodes: 0 }),
    });
    expect(message).toContain('has no free inodes');
  });

  it('warns if a checkpoint does not fit', async () => {
    const [finding] = await sound.run('disk', { diskSpace: async () => ({ free: 1e9, total: 5e11 }) });
    expect(finding?.status).toBe('warning');
  });
});

describe('the port', () => {
  let server: Server;
  beforeEach(async () => {
    await expectSound('port');
    server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(sound.environment.options.port, '127.0.0.1', resolve);
    });
  });
  afterEach(() => server.close());

  it('names the process that uses it and the next free port', async () => {
    const { port = 0 } = sound.environment.options;
    const { message, command } = await faultOf('port', { system: (path) => path });
    if (isLinux)
      expect(message).toMatch(new RegExp(`^Port ${port} is used by process ${process.pid} \\(.+\\)$`));
    else expect(message).toBe(`Port ${port} is used by another process`);
    expect(Number(/^npx safelight serve --port (\d+)$/.exec(command ?? '')?.[1])).toBeGreaterThan(port);
  });

  it('accepts a port that the running server uses', async () => {
    const { port } = sound.environment.options;
    const note = { pid: process.pid, host: 'here', url: `http://127.0.0.1:${port}` };
    sound.write('home/.local/share/safelight/lock', JSON.stringify(note));
    const [finding] = await sound.run('port', { system: (path) => path });
    expect(finding?.status).toBe('ok');
    expect(finding?.message).toBe(
      `Port ${port} is used by the running Safelight server, process ${process.pid}`,
    );
  });
});

describe('locks', () => {
  const dead = { isAlive: () => false };
  const lock = () => sound.write('home/.local/share/safelight/lock.safelight', '4242\n');
  beforeEach(() => expectSound('locks'));

  it('reports a lock that a dead process has left', async () => {
    const path = lock();
    const { message, command } = await faultOf('locks', dead);
    expect(message).toBe(`The lock ${path} is stale: process 4242 left it and no longer runs`);
    expect(command).toBe(`rm ${path}`);
  });

  it('reports a stale lock with a time in the future, which would never expire', async () => {
    const path = lock();
    const later = new Date(Date.now() + 3_600_000);
    utimesSync(path, later, later);
    expect((await faultOf('locks', dead)).command).toBe(`rm ${path}`);
  });

  it('does not suggest to remove the lock of a running process', async () => {
    lock();
    const [finding] = await sound.run('locks', { isAlive: () => true });
    expect(finding).toMatchObject({ status: 'ok' });
    expect(finding).not.toHaveProperty('command');
  });

  it('does not suggest to remove a lock that a process of another machine touches', async () => {
    const path = lock();
    const touching = setInterval(() => utimesSync(path, new Date(), new Date()), 20);
    try {
      const [finding] = await sound.run('locks', { ...dead, lockPatience: 200 });
      expect(finding?.message).toBe(
        `The lock ${path} is held by process 4242 of another machine or container`,
      );
      expect(finding).toMatchObject({ status: 'ok' });
    } finally {
      clearInterval(touching);
    }
  });

  it('warns of an expired lock', async () => {
    const path = lock();
    const before = new Date(Date.now() - 60_000);
    utimesSync(path, before, before);
    const [finding] = await sound.run('locks', { isAlive: () => true });
    expect(finding).toMatchObject({ status: 'warning', command: `rm ${path}` });
  });
});

describe('caches', () => {
  beforeEach(() => expectSound('caches'));

  it('reports a cache that is not a folder', async () => {
    const path = sound.write('cache', '');
    const env = { ...sound.environment.env, HF_HUB_CACHE: path };
    const { message, command } = await faultOf('caches', { env });
    expect(message).toMatch(
      new RegExp(`^The Hugging Face cache ${path} cannot be read \\(ENOTDIR: not a directory\\)$`),
    );
    expect(command).toBe('unset HF_HUB_CACHE');
  });

  it('reports a data folder that cannot be created', async () => {
    const path = join(sound.write('file', ''), 'data');
    const { message, command } = await faultOf('caches', { options: { data: path } });
    expect(message).toBe(
      `The data folder ${path} cannot be created, because ${join(sound.folder, 'file')} is not a folder`,
    );
    expect(command).toBe('npx safelight serve --data ./data');
  });

  it('suggests to continue an unfinished download', async () => {
    const name = '.cache/huggingface/hub/models--owner--name/blobs/abc.safelight-part';
    const path = sound.write(`home/${name}`, 'part');
    const before = new Date(Date.now() - 3_600_000);
    utimesSync(path, before, before);
    const finding = (await sound.run('caches')).find(({ status }) => status === 'warning');
    expect(finding?.message).toMatch(/^1 unfinished download in /);
    expect(finding?.command).toBe('npx safelight pull owner/name');
  });
});

describe('models', () => {
  it('names a truncated model file', async () => {
    mkdirSync(join(sound.folder, 'home/.local/share/safelight/models'), { recursive: true });
    await expectSound('models');
    const path = sound.write('home/.local/share/safelight/models/broken.safetensors', 'truncated');
    const { message, command, details } = await faultOf('models');
    expect(message).toMatch(/^1 file of \S+ cannot be used$/);
    expect(command).toBe(`npx safelight inspect ${path}`);
    expect(details[0]).toMatch(/^broken\.safetensors: /);
  });

  it('reports bundled models that are not installed', async () => {
    await expectSound('starter');
    const { message, command } = await faultOf('starter', { bundled: () => undefined });
    expect(message).toBe('The package @safelight/starter is not installed');
    expect(command).toBe('npm install');
  });
});

describe('tokenizers', () => {
  beforeEach(() => expectSound('tokenizers'));

  it.each(['tokenizer', 'tokenizer/vocab.json', 'tokenizer/merges.txt'])(
    'reports a starter model without %s',
    async (file) => {
      const copy = starterWithout(sound, file);
      const { message, command } = await faultOf('tokenizers', { bundled: () => copy });
      expect(message).toMatch(/^The tokenizer of the starter model cannot be used: /);
      expect(message).toContain(join(copy, 'tokenizer'));
      expect(command).toBe(`rm -rf ${join(sound.modules, '@safelight/starter')} && npm install`);
    },
  );

  it("reports that CLIP's standard tokenizer is missing", async () => {
    const safelight = join(sound.modules, 'safelight');
    rmSync(join(safelight, 'dist/clip-merges.txt.br'));
    const { message, command } = await faultOf('tokenizers');
    expect(message).toContain("CLIP's standard tokenizer, which single files use, cannot be used: ENOENT");
    expect(command).toBe(`rm -rf ${safelight} && npm install`);
  });
});

describe('memory', () => {
  beforeEach(() => expectSound('memory'));

  it('reports a limit below the need of the starter model', async () => {
    const memory = () => ({ available: 40e6, total: 32e9, limit: 64e6 });
    sound.write('system/.dockerenv', '');
    const { message, command } = await faultOf('memory', { memory });
    expect(message).toBe(
      '64.0 MB of the limit of 64.0 MB memory are available, the starter model needs 112.0 MB',
    );
    expect(command).toBe('docker update --memory 4g --memory-swap 4g CONTAINER');
  });

  it('reports a machine without free memory', async () => {
    const { message, command } = await faultOf('memory', { memory: () => ({ available: 50e6, total: 1e9 }) });
    expect(message).toBe('50.0 MB of 1.0 GB memory are available, the starter model needs 112.0 MB');
    expect(command).toMatch(/^(?:ps|top|tasklist) /);
  });
});
