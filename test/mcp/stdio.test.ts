/** `safelight mcp` as a client sees it: a process that talks over stdin and stdout. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { MAIN, run, workFolder } from '../support/cli.js';
import {
  connectStdio,
  imagesOf,
  jobResultOf,
  type Revision,
  type StdioClient,
  textOf,
} from '../support/mcp-client.js';

const folder = workFolder();
afterAll(folder.remove);
const open: StdioClient[] = [];
afterEach(async () => {
  for (const { client } of open.splice(0)) await client.close();
});
async function connect(revision: Revision = 'legacy', args: readonly string[] = []): Promise<StdioClient> {
  const connected = await connectStdio(folder.path, revision, args);
  open.push(connected);
  return connected;
}
/** A client that several tests use, because a process takes seconds to start. */
let shared: StdioClient;
beforeAll(async () => {
  shared = await connectStdio(folder.path);
});
afterAll(() => shared.client.close());
const SMALL = { width: 64, height: 64, steps: 2, seed: 7 };
const generate = (more: object = {}) => ({
  name: 'generate_image',
  arguments: { prompt: 'a red apple', ...SMALL, ...more },
});
const pixels = (source: Buffer | string) => sharp(source).removeAlpha().raw().toBuffer();

it.each<Revision>(['legacy', 'modern'])(
  'gives a %s client the pixels of `safelight generate`, and the path of the file',
  async (revision) => {
    const { client, stderr } = revision === 'legacy' ? shared : await connect(revision);
    const progress: number[] = [];
    const result = await client.callTool(generate(), {
      onprogress: (report) => void progress.push(report.progress),
    });
    const [image] = jobResultOf(result).images;
    const flags = ['--width', '64', '--height', '64', '--steps', '2', '--seed', '7', '--threads', '1'];
    const output = folder.file(`${revision}.png`);
    expect(await run(['generate', 'a red apple', ...flags, '--output', output])).toMatchObject({ code: 0 });
    const expected = await pixels(output);
    expect(await pixels(imagesOf(result)[0]!)).toEqual(expected);
    expect(await pixels(image!.file!)).toEqual(expected);
    expect(progress.length).toBeGreaterThan(2);
    expect(stderr()).toMatch(/MCP server with the models starter, sketch; images are stored in /);
  },
);

it('edits files named by their path or file: URI, and images in base64', async () => {
  const { client } = shared;
  const file = folder.file('photo of a pear.jpg');
  const create = { width: 64, height: 64, channels: 3, background: '#80c040' } as const;
  await sharp({ create }).jpeg().toFile(file);
  const bytes = await sharp(file).toBuffer();
  const edit = async (init: string) => {
    const result = await client.callTool({
      name: 'edit_image',
      arguments: { prompt: 'a pear', init, strength: 0.5, ...SMALL },
    });
    return pixels(imagesOf({ ...result, ...jobResultOf(result) })[0]!);
  };
  const expected = await edit((await sharp(bytes).toBuffer()).toString('base64'));
  expect(await edit(file)).toEqual(await edit(pathToFileURL(file).href));
  expect((await edit(file)).length).toBe(expected.length);
  writeFileSync(folder.file('text.png'), 'no image');
  for (const [init, message] of [
    [folder.file('gone.png'), /^FILE_NOT_FOUND: .*gone\.png/],
    [folder.path, /^FILE_NOT_FOUND: .*folder/],
    [folder.file('text.png'), /^INVALID_IMAGE: /],
  ] as const) {
    const result = await client.callTool({ name: 'edit_image', arguments: { init } });
    expect(result.isError).toBe(true);
    expect(textOf(result)).toMatch(message);
  }
});

it('cancels a call, and keeps serving', async () => {
  const { client } = shared;
  const controller = new AbortController();
  const call = client.callTool(generate({ steps: 150 }), {
    signal: controller.signal,
    onprogress: ({ progress }) => {
      if (progress >= 1) controller.abort();
    },
  });
  await expect(call).rejects.toThrow();
  // The queue runs one job at a time, so this one waits for the end of the cancelled one.
  expect(jobResultOf(await client.callTool(generate())).images).toHaveLength(1);
  const { resources } = await client.listResources({ cursor: undefined });
  expect(resources.length).toBeGreaterThan(0);
});

it('lets several clients run at the same time, each with its own folder', async () => {
  const clients = [shared, await connect('modern')];
  const files: string[] = [];
  for (const { client } of clients) {
    const [image] = jobResultOf(await client.callTool(generate())).images;
    expect(existsSync(image!.file!)).toBe(true);
    files.push(image!.file!);
  }
  const folderOf = (file: string) => file.slice(0, file.indexOf('/jobs/'));
  expect(folderOf(files[0]!)).not.toBe(folderOf(files[1]!));
});

it('keeps the images of earlier processes as resources', async () => {
  const data = folder.file('kept');
  const first = await connect('legacy', ['--data', data]);
  const [image] = jobResultOf(await first.client.callTool(generate())).images;
  await first.client.close();
  const second = await connect('legacy', ['--data', data]);
  const { resources } = await second.client.listResources({ cursor: undefined });
  expect(resources).toMatchObject([{ uri: image!.uri }]);
});

/** Starts `safelight mcp` and returns what it wrote when it ended. */
function startRaw(args: readonly string[] = [], nodeArgs: readonly string[] = []) {
  const env = { ...process.env, XDG_DATA_HOME: folder.path };
  const child = spawn(process.execPath, [...nodeArgs, MAIN, 'mcp', '--threads', '1', ...args], { env });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data: Buffer) => {
    stdout += data.toString();
  });
  child.stderr.on('data', (data: Buffer) => {
    stderr += data.toString();
  });
  const ended = new Promise<{ code: number | null; signal: string | null; stdout: string; stderr: string }>(
    (resolve) => child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr })),
  );
  const send = (message: object | string) =>
    child.stdin.write(
      `${typeof message === 'string' ? message : JSON.stringify({ jsonrpc: '2.0', ...message })}\n`,
    );
  const stdoutHas = (pattern: RegExp) => expect.poll(() => stdout, { timeout: 50_000 }).toMatch(pattern);
  return { child, ended, send, stdoutHas };
}
const hello = {
  ...{ id: 1, method: 'initialize' },
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
};
/** A call that takes long, and asks for progress. */
const longCall = {
  ...{ id: 2, method: 'tools/call' },
  params: { ...generate({ prompt: 'a slow pear', steps: 150 }), _meta: { progressToken: 'p' } },
};

it.each(['stdin', 'SIGTERM', 'SIGINT'] as const)(
  'stops its job and ends without an error at the end of %s, with only messages of the protocol on stdout',
  async (end) => {
    const data = folder.file('stopped');
    const { child, ended, send, stdoutHas } = startRaw(['--data', data]);
    send(hello);
    send({ method: 'notifications/initialized' });
    send(longCall);
    await stdoutHas(/step 1 of 150/);
    if (end === 'stdin') child.stdin.end();
    else child.kill(end);
    const { code, signal, stdout, stderr } = await ended;
    expect({ code, signal }).toEqual({ code: 0, signal: null });
    const messages = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { jsonrpc: string; id?: number });
    for (const message of messages) expect(message.jsonrpc).toBe('2.0');
    expect(messages.some(({ id }) => id === 2)).toBe(false);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  },
);

it('cancels the jobs of ended clients rather than running them at the next start', async () => {
  const data = folder.file('stopped');
  const { client } = await connect('legacy', ['--data', data]);
  const { job } = jobResultOf(await client.callTool(generate({ steps: 1 })));
  // Cancelled jobs have no files.
  expect(readdirSync(`${data}/jobs`)).toEqual([job]);
});

it('does not run the job of a killed process again', async () => {
  const { child, ended, send, stdoutHas } = startRaw();
  send(hello);
  send({ method: 'notifications/initialized' });
  send(longCall);
  await stdoutHas(/step 1 of 150/);
  child.kill('SIGKILL');
  await ended;
  const { client } = await connect();
  expect(jobResultOf(await client.callTool(generate({ steps: 1 }))).images).toHaveLength(1);
  const { resources } = await client.listResources({ cursor: undefined });
  expect(resources.map(({ title }) => title)).toContain('a red apple');
  expect(resources.map(({ title }) => title)).not.toContain('a slow pear');
});

it('answers malformed messages with errors, and goes on', async () => {
  const { child, ended, send, stdoutHas } = startRaw();
  send(hello);
  send('{ no JSON');
  send('[1, 2]');
  send('"text"');
  send({ id: 3, method: 'no/such/method' });
  send({ id: 4, method: 'tools/call', params: { name: 7 } });
  send({ id: 5, method: 'tools/call', params: { name: 'generate_image', arguments: 'a red apple' } });
  send({ id: 6, method: 'ping' });
  await stdoutHas(/"id":6/);
  child.stdin.end();
  const { code, stdout } = await ended;
  expect(code).toBe(0);
  const answers = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { id: number; error?: object });
  const of = (id: number) => answers.find((answer) => answer.id === id);
  for (const id of [3, 4, 5]) expect(of(id)?.error).toBeDefined();
  expect(of(6)).toMatchObject({ result: {} });
});

it.each([
  [['--model', 'none/gone.safetensors'], 1, /gone/],
  [['--threads', '0'], 2, /--threads/],
  [['--no-starter'], 2, /No model is available/],
])('does not start with %j and reports why on stderr', async (args, code, message) => {
  const { ended } = startRaw(args);
  expect(await ended).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(message) });
});
