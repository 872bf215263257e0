/** `safelight pull`, `models` and `rm` as processes, one of which is killed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { HubServer } from '../support/hub-server.js';

const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const starter = fileURLToPath(new URL('../../models/starter', import.meta.url));
const bytes = Buffer.alloc(40 << 20, 'safelight ');
let server: HubServer;
let home: string;

beforeAll(async () => {
  server = await HubServer.start();
  server.repositories.set('owner/large', new Map([['model.safetensors', bytes]]));
  const names = ['model_index.json', 'unet/config.json', 'vae/config.json'];
  server.repositories.set(
    'owner/starter',
    new Map(names.map((name) => [name, readFileSync(join(starter, name))])),
  );
  home = mkdtempSync(join(tmpdir(), 'safelight-pull-'));
});
afterAll(async () => {
  await server.close();
  rmSync(home, { recursive: true, force: true });
});

function start(...args: string[]) {
  const env = { HOME: home, PATH: process.env.PATH, HF_ENDPOINT: server.url };
  const child = spawn(process.execPath, [program, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const out = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    out.stderr += text;
  });
  return { child, out, ended: once(child, 'close') as Promise<[number | null]> };
}

async function safelight(...args: string[]) {
  const { out, ended } = start(...args);
  const [code] = await ended;
  return { ...out, code };
}

it('resumes after kill -9, and lists and removes the downloaded model', async () => {
  server.faults = { slow: 15 << 20 };
  const { child, out, ended } = start('pull', 'owner/large');
  while (server.sent < 16 << 20 && child.exitCode === null)
    await new Promise((resolve) => setTimeout(resolve, 20));
  child.kill('SIGKILL');
  await ended;
  expect(out.stderr).toContain('Downloading');
  server.reset();

  const again = await safelight('pull', 'owner/large', '--json');
  expect(again).toMatchObject({ code: 0 });
  const result = JSON.parse(again.stdout) as { name: string; path: string; bytes: number; fetched: number };
  expect(result).toMatchObject({ name: 'owner/large', bytes: bytes.length });
  expect(readFileSync(join(result.path, 'model.safetensors')).equals(bytes)).toBe(true);
  // Bytes that the killed run recorded are not requested again.
  expect(result.fetched).toBeLessThan(bytes.length - (2 << 20));
  expect(server.sent).toBe(result.fetched);

  const { stdout } = await safelight('models');
  expect(stdout).toMatch(/^model +size +path\nowner\/large +41\.9 MB +\//);
  expect(await safelight('rm', 'owner/large', '--json')).toMatchObject({
    code: 0,
    stdout: `{"removed":["owner/large"],"bytes":${bytes.length}}\n`,
  });
});

it('reports what is wrong in one sentence', async () => {
  expect(await safelight('pull', 'owner/none')).toMatchObject({ code: 1, stdout: '' });
  const missing = await safelight('inspect', 'owner/none');
  expect(missing.stderr).toBe(
    "safelight: 'owner/none' is neither a file or folder nor a downloaded model: `safelight pull owner/none` downloads it\n",
  );
});
