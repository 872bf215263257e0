/** `safelight serve` and its log as an operator sees them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { run, start, workFolder } from '../support/cli.js';

const folder = workFolder();
afterAll(folder.remove);

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly url?: string;
  readonly [field: string]: unknown;
}

/** Runs a server while `work` runs. @returns its output */
async function serving(args: readonly string[], work: (url: string) => Promise<unknown>) {
  const all = ['serve', '--port', '0', '--data', folder.file('data'), '--threads', '1', ...args];
  const { child, result } = start(all, folder.path);
  const url = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.stdout!.on('data', (data: Buffer) => {
      text += data.toString();
      const found = /Safelight serves (\S+)/.exec(text);
      if (found) resolve(found[1]!);
    });
    void result.then(({ stderr }) => reject(new Error(stderr)));
  });
  await work(url);
  child.kill('SIGTERM');
  return result;
}

const post = async (url: string, json: object): Promise<{ id: string }> => {
  const init = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(json),
  };
  return (await (await fetch(`${url}/v1/jobs`, init)).json()) as { id: string };
};

it('logs one JSON line per request and per step of a job, and nothing else', async () => {
  // Neither folder is what `starter` refers to.
  mkdirSync(folder.file('starter'));
  writeFileSync(folder.file('broken.safetensors'), 'no model');
  const ids: string[] = [];
  const { stdout, stderr, code } = await serving(
    ['--model', 'starter', '--model', 'broken.safetensors'],
    async (url) => {
      const job = { type: 'text-to-image', prompt: 'a secret apple', width: 64, height: 64, steps: 1 };
      for (const more of [{}, { model: 'broken' }]) ids.push((await post(url, { ...job, ...more })).id);
      for (const id of ids) await (await fetch(`${url}/v1/jobs/${id}/events`)).text();
      await fetch(`${url}/nowhere?x=1`);
    },
  );
  expect(code).toBe(0);
  expect(JSON.parse(stderr)).toMatchObject({ msg: expect.stringMatching(/^Stopping/) });
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
  const start = lines.find(({ msg }) => msg.startsWith('Safelight serves'));
  expect(start).toMatchObject({
    url: expect.stringContaining('http'),
    models: ['starter', 'broken', 'sketch'],
  });
  expect(lines).toContainEqual(
    expect.objectContaining({ level: 40, model: 'broken', code: 'INVALID_FILE', reason: expect.any(String) }),
  );
  const of = (id: string | undefined) => lines.filter(({ job }) => job === id);
  expect(of(ids[0])).toMatchObject([
    { msg: 'job queued', type: 'text-to-image', model: 'starter' },
    { msg: 'job started', attempt: 1, wait: expect.any(Number) },
    { msg: 'job finished', outcome: 'done', images: 1, duration: expect.any(Number) },
  ]);
  expect(of(ids[1])).toMatchObject([
    { msg: 'job queued', model: 'broken' },
    { msg: 'job started' },
    { msg: 'job failed', level: 40, outcome: 'failed', code: 'INVALID_FILE', reason: expect.any(String) },
  ]);
  const requests = lines.filter(({ method }) => method !== undefined);
  expect(requests).toContainEqual(
    expect.objectContaining({ method: 'POST', url: '/v1/jobs', status: 201, duration: expect.any(Number) }),
  );
  expect(requests).toContainEqual(
    expect.objectContaining({ method: 'GET', url: '/nowhere?x=1', status: 404, reqId: expect.any(String) }),
  );
  expect(stdout).not.toContain('secret apple');
});

it('prints one plain line if logging is off and reads starter: false from its config file', async () => {
  writeFileSync(folder.file('config.yaml'), 'starter: false\nmodel: [mine=starter]\n');
  let models: unknown;
  const { stdout } = await serving(['--log-level', 'silent', '--config', 'config.yaml'], async (url) => {
    models = await (await fetch(`${url}/v1/models`)).json();
  });
  expect(stdout).toMatch(/^Safelight serves http:\S+\n/);
  expect(models).toMatchObject({ data: [{ id: 'mine' }] });
});

it.each([
  [['--model', 'gone=none/gone.safetensors'], 1, /gone\.safetensors' for the model gone/],
  [['--models', 'none'], 1, /none' cannot be read/],
  [['--no-starter'], 2, /no model to offer/],
])('does not start with %j and reports why', async (args, code, message) => {
  const ended = await run(['serve', '--port', '0', '--data', folder.file('data'), ...args], folder.path);
  expect(ended).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(message) });
});
