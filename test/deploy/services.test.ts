/** The systemd units and the configuration of nginx in deploy/. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { optionsOf, readDeployFile, without } from '../support/deploy/command-lines.js';
import { freePort } from '../support/free-port.js';
import { call, startServer, type TestServer } from '../support/server/test-server.js';

const UNITS = ['safelight.service', 'safelight-worker@.service'];

describe.each(UNITS)('the unit %s', (name) => {
  const unit = readDeployFile(name);

  it('runs the program of the installed package with existing options', () => {
    const [node, program, ...args] = /^ExecStart=(.*)$/m.exec(unit)?.[1]?.split(' ') ?? [];
    const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      bin: { safelight: string };
    };
    expect([node, program]).toEqual([
      '/usr/bin/node',
      `/opt/safelight/node_modules/safelight/${manifest.bin.safelight}`,
    ]);
    expect(() => optionsOf(args)).not.toThrow();
  });

  it('is not restarted after a wrong configuration, whose exit code is 2', () => {
    expect(unit).toMatch(/^RestartPreventExitStatus=2$/m);
  });

  const withoutSystemd = without('systemd-analyze', '--version');
  it.skipIf(withoutSystemd !== undefined)(
    `is accepted by systemd${withoutSystemd ? `: ${withoutSystemd}` : ''}`,
    () => {
      const folder = mkdtempSync(join(tmpdir(), 'safelight-units-'));
      try {
        // Node.js may be installed elsewhere on this machine.
        writeFileSync(join(folder, name), unit.replace('/usr/bin/node', process.execPath));
        const { status, stderr } = spawnSync('systemd-analyze', ['verify', join(folder, name)], {
          encoding: 'utf8',
        });
        expect([status, stderr]).toEqual([0, '']);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
});

const NGINX = '/usr/sbin/nginx';
const withoutNginx = without(NGINX, '-v');

describe.skipIf(withoutNginx !== undefined)(`nginx${withoutNginx ? `: ${withoutNginx}` : ''}`, () => {
  let server: TestServer;
  let folder: string;
  let nginx: ChildProcess;
  let url: string;

  beforeAll(async () => {
    const text = readDeployFile('nginx.conf');
    const options = /safelight (serve .*)$/m.exec(text)?.[1]?.split(' ') ?? [];
    const { basePath, allowHost } = optionsOf(options) as { basePath: string; allowHost: string[] };
    server = await startServer({ 'base-path': basePath, 'allow-host': allowHost, 'api-key': 'secret' });
    folder = mkdtempSync(join(tmpdir(), 'safelight-nginx-'));
    mkdirSync(join(folder, 'temporary'));
    // Started by root, nginx handles requests as another user.
    chmodSync(folder, 0o755);
    chmodSync(join(folder, 'temporary'), 0o777);
    const port = await freePort();
    // Without TLS, on ports of the test.
    const site = text
      .replace('listen 443 ssl;', `listen 127.0.0.1:${port};`)
      .replace(/^\s*ssl_certificate.*\n/gm, '')
      .replace('127.0.0.1:7860', new URL(server.url).host);
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((name) => `${name}_temp_path ${folder}/temporary;`)
      .join(' ');
    writeFileSync(
      join(folder, 'nginx.conf'),
      `daemon off; pid ${folder}/pid; error_log stderr; events {} http { access_log off; ${paths}\n${site}\n}`,
    );
    nginx = spawn(NGINX, ['-p', folder, '-c', join(folder, 'nginx.conf')], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    url = `http://127.0.0.1:${port}${basePath}`;
    await vi.waitFor(async () => expect((await fetch(`${url}/health/ready`)).status).toBe(200), 20_000);
  });
  afterAll(async () => {
    nginx?.kill('SIGTERM');
    await server?.end();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  const headers = { authorization: 'Bearer secret' };

  it('leads to the page, also without the slash', async () => {
    const page = await fetch(url);
    expect([page.status, page.url]).toEqual([200, `${url}/`]);
    expect(await page.text()).toContain('<title>Safelight</title>');
  });

  it('passes on events while the job runs, and images', async () => {
    const json = { type: 'text-to-image', prompt: 'a red apple', width: 64, height: 64, steps: 4 };
    const init = { method: 'POST', headers: { ...headers, origin: new URL(url).origin }, json };
    const { status, headers: answered, body } = await call<{ id: string }>(`${url}/v1/jobs`, init);
    expect(status).toBe(201);
    const location = new URL(answered.get('location')!, url).href;
    expect(location).toBe(`${url}/v1/jobs/${body.id}`);
    const events = await (await fetch(`${location}/events`, { headers })).text();
    expect(events).toMatch(/^event: progress$/m);
    expect(events).toMatch(/^event: done$/m);
    const image = await fetch(`${location}/files/0.png`, { headers });
    expect(image.headers.get('content-type')).toBe('image/png');
  });

  it('accepts requests of the size that the server accepts', async () => {
    const accepted = await fetch(`${url}/v1/tokenize`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'a'.repeat(2 ** 21) }),
    });
    // The server's limit of prompts, not nginx' default of 1 MiB.
    expect(accepted.status).toBe(400);
    expect(await accepted.text()).toContain('INVALID_OPTION');
    expect(readDeployFile('nginx.conf')).toContain('client_max_body_size 64m;');
  });
});
