/** deploy/Dockerfile and deploy/compose.yaml, as far as they can be run without Docker. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { cacheFolder, dataFolder, modelsFolder } from '../../lib/hub/environment.js';
import { MAIN } from '../support/cli.js';
import {
  deployFile,
  type Instruction,
  instructionsOf,
  optionsOf,
  readDeployFile,
  without,
} from '../support/deploy/command-lines.js';
import { freePort } from '../support/free-port.js';
import { call } from '../support/server/test-server.js';

// Each test starts a server as a process of its own, which takes long on a busy machine.
vi.setConfig({ testTimeout: 180_000 });

const all = instructionsOf(readDeployFile('Dockerfile'));
const image = all.slice(all.findLastIndex(({ name }) => name === 'FROM'));
const textOf = (name: Instruction['name']) => image.find((one) => one.name === name)?.text ?? '';
const listOf = (name: Instruction['name']) => JSON.parse(textOf(name)) as string[];
const environment = Object.fromEntries(
  [...textOf('ENV').matchAll(/(\w+)=(\S+)/g)].map(([, name = '', value = '']) => [name, value]),
);
const healthCheck = JSON.parse(/CMD (\[.*\])/.exec(textOf('HEALTHCHECK'))?.[1] ?? '') as string[];

const withoutNamespaces = without('unshare', '--pid', '--fork', 'true');

describe('the image', () => {
  let folder: string;
  let child: ChildProcess | undefined;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'safelight-image-'));
    for (const path of listOf('VOLUME')) mkdirSync(join(folder, path));
  });
  afterEach(() => {
    child?.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  /** Replaces the port and the volumes, which belong to the container, by those of the test. */
  const local = (text: string, port: number) =>
    text.replace(/^\/(?=data|cache|models)/, `${folder}/`).replace('7860', String(port));

  /** Runs the entry point with the command, and only the environment of the image. */
  async function start(prefix: readonly string[] = []): Promise<{ url: string; port: number }> {
    expect(listOf('ENTRYPOINT')).toEqual(['safelight']);
    const port = await freePort();
    const args = listOf('CMD').map((arg) => local(arg, port));
    const [program = '', ...rest] = [...prefix, process.execPath, MAIN, ...args, '--port', String(port)];
    const { PATH: _, ...variables } = environment;
    const env = Object.fromEntries(
      Object.entries(variables).map(([name, value]) => [name, local(value, port)]),
    );
    child = spawn(program, rest, {
      env: { PATH: process.env.PATH, HOME: '/nonexistent', SAFELIGHT_API_KEY: 'secret', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    await new Promise<void>((resolve, reject) => {
      let text = '';
      for (const stream of [child!.stdout!, child!.stderr!])
        stream.on('data', (data: Buffer) => {
          text += data.toString();
          if (text.includes('Safelight is listening')) resolve();
        });
      child!.once('close', () => reject(new Error(text)));
    });
    return { url: `http://127.0.0.1:${port}`, port };
  }

  const checkHealth = (port: number) => {
    const [program, ...args] = healthCheck.map((arg) => local(arg, port));
    expect(program).toBe('node');
    return new Promise((resolve) => spawn(process.execPath, args).once('exit', resolve));
  };

  const submit = (url: string) =>
    call<{ id: string }>(`${url}/v1/jobs`, {
      method: 'POST',
      headers: { authorization: 'Bearer secret' },
      json: { type: 'text-to-image', prompt: 'a red apple', width: 64, height: 64, steps: 20 },
    });

  /** Waits until a job has started. */
  const started = (url: string, id: string) =>
    expect
      .poll(async () => {
        const headers = { authorization: 'Bearer secret' };
        return (await call(`${url}/v1/jobs/${id}`, { headers })).body.started;
      })
      .toEqual(expect.any(String));

  it('installs a package that exists under the names of the build', () => {
    const [run] = all.filter(({ name }) => name === 'RUN');
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of the Dockerfile
    expect(run?.text).toContain('${PACKAGES} bullmq@6 ioredis@5');
    const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      name: string;
      bin: object;
      peerDependencies: object;
    };
    expect(all).toContainEqual({ name: 'ARG', text: `PACKAGES=${manifest.name}` });
    expect(Object.keys(manifest.bin)).toEqual(['safelight']);
    expect(manifest.peerDependencies).toMatchObject({ bullmq: '>=6', ioredis: '^5.0.0' });
  });

  it('does not run as root, and keeps everything that is written in its volumes', () => {
    expect(textOf('USER')).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    expect(dataFolder(environment)).toBe('/data/safelight');
    expect(modelsFolder(environment)).toBe('/models');
    expect(cacheFolder(environment)).toBe('/cache/huggingface/hub');
    expect(listOf('VOLUME')).toEqual(['/data', '/cache', '/models']);
    expect(textOf('RUN')).toMatch(/--owner=node .* \/data \/cache \/models$/);
  });

  it('starts, reports its health, and lets a running job end when it is stopped', async () => {
    const { url, port } = await start();
    expect(await checkHealth(port)).toBe(0);
    const { body } = await submit(url);
    await started(url, body.id);
    const ended = new Promise((resolve) => child!.once('exit', resolve));
    child!.kill('SIGTERM');
    await expect.poll(() => checkHealth(port)).toBe(1); // while the job ends, or afterwards
    expect(await ended).toBe(0);
    expect(await checkHealth(port)).toBe(1);
    const result = join(folder, 'data/safelight/jobs', body.id, '0.png');
    expect(readFileSync(result).subarray(1, 4).toString()).toBe('PNG');
  });

  it.skipIf(withoutNamespaces !== undefined)(
    `is stopped as process 1 of its namespace${withoutNamespaces ? `: ${withoutNamespaces}` : ''}`,
    async () => {
      const { url } = await start(['unshare', '--pid', '--fork', '--kill-child']);
      const { body } = await submit(url);
      await started(url, body.id);
      const children = `/proc/${child!.pid}/task/${child!.pid}/children`;
      const inner = Number(readFileSync(children, 'utf8').trim());
      expect(readFileSync(`/proc/${inner}/status`, 'utf8')).toMatch(/^NSpid:\s+\d+\s+1$/m);
      const ended = new Promise((resolve) => child!.once('exit', resolve));
      process.kill(inner, 'SIGTERM');
      expect(await ended).toBe(0);
      const result = join(folder, 'data/safelight/jobs', body.id, '0.png');
      expect(readFileSync(result).subarray(1, 4).toString()).toBe('PNG');
    },
  );

  it('does not start without a key', async () => {
    const args = listOf('CMD').map((arg) => local(arg, 0));
    const { status, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
      env: { PATH: process.env.PATH, XDG_DATA_HOME: folder },
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([2, expect.stringContaining('--api-key')]);
  });
});

interface Service {
  readonly command: string[];
  readonly image: string;
  readonly volumes: string[];
  readonly deploy?: { readonly replicas: number };
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly disable?: boolean; readonly test?: string[] };
}

describe('the services', () => {
  const { services, volumes } = parse(readDeployFile('compose.yaml'), { merge: true }) as {
    services: { server: Service; worker: Service; redis: Service };
    volumes: object;
  };
  const { server, worker, redis } = services;

  it('are a server and two workers of one image, with one queue and the same models', () => {
    const [serving, working] = [optionsOf(server.command), optionsOf(worker.command)];
    expect(serving).toMatchObject({ host: '0.0.0.0', queue: 'redis://redis:6379' });
    expect(working).toEqual({ starter: true, queue: serving.queue, models: serving.models });
    expect(server.command[0]).toBe('serve');
    expect([worker.command[0], worker.deploy?.replicas]).toEqual(['worker', 2]);
    expect(worker.image).toBe(server.image);
    expect(worker.healthcheck).toEqual({ disable: true });
    for (const { depends_on } of [server, worker])
      expect(depends_on).toEqual({ redis: { condition: 'service_healthy' } });
  });

  it('mount only volumes of the image, and the same models', () => {
    const mounts = (service: Service) =>
      service.volumes.map((mount) => /^(.*?):(\/[a-z]+)(:ro)?$/.exec(mount)?.slice(1) ?? [mount]);
    for (const service of [server, worker])
      for (const [, target] of mounts(service)) expect(listOf('VOLUME')).toContain(target);
    const models = (service: Service) => mounts(service).find(([, target]) => target === '/models');
    expect(models(worker)).toEqual(models(server));
    const named = [server, worker, redis].flatMap(mounts).flatMap(([source = '']) => source);
    expect(Object.keys(volumes).sort()).toEqual(
      [...new Set(named.filter((source) => /^\w+$/.test(source)))].sort(),
    );
  });

  it('publish the port of the server to this machine only, and require a key', () => {
    expect(server.ports).toEqual(['127.0.0.1:7860:7860']);
    expect(textOf('EXPOSE')).toBe('7860');
    expect(server.environment?.SAFELIGHT_API_KEY).toMatch(/:\?/);
    expect([worker.ports, redis.ports]).toEqual([undefined, undefined]);
  });

  it('keep jobs in a Redis that stores them and evicts none', () => {
    expect(redis.command).toEqual([
      'redis-server',
      ...['--appendonly', 'yes', '--maxmemory-policy', 'noeviction'],
    ]);
  });

  const withoutCompose = without('docker', 'compose', 'version');
  it.skipIf(withoutCompose !== undefined)(
    `are accepted by docker compose${withoutCompose ? `: ${withoutCompose}` : ''}`,
    () => {
      const args = ['compose', '--file', deployFile('compose.yaml'), 'config', '--quiet'];
      const env = { ...process.env, SAFELIGHT_API_KEY: 'secret' };
      const { status, stderr } = spawnSync('docker', args, { env, encoding: 'utf8' });
      expect([status, stderr]).toEqual([0, '']);
    },
  );
});
