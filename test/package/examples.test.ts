/**
 * Type-checks the programs in examples/ against the packed package, and runs those whose packages are dev dependencies. Electron's
 * types come from its npm package, which downloads no binary when it is installed; its main process runs with a substitute.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { walk } from '../../scripts/files.mjs';
import { npmMissing, root } from './npm.js';
import { PackedProject } from './packed-project.js';

/** Declarations that the examples use, of packages that are not dev dependencies. */
const stubs = `
declare module 'next' {
  export interface NextConfig { serverExternalPackages?: string[]; outputFileTracingIncludes?: Record<string, string[]> }
}
declare module 'esbuild' {
  export function build(options: {
    absWorkingDir?: string; entryPoints: string[]; outdir: string; outExtension?: Record<string, string>;
    bundle: boolean; platform: 'node'; format: 'esm'; external: string[];
  }): Promise<object>;
}
declare module 'webpack' {
  export interface Configuration {
    mode: 'production'; target: string; entry: Record<string, string>; externals: Record<string, string>;
    output: { filename: string; module: boolean; chunkFormat: 'module' }; experiments: { outputModule: boolean };
  }
}
`;

/** A substitute for Electron's main process modules, and a driver that calls the handlers of main.mjs. */
const electronMain = `
import { EventEmitter } from 'node:events';
const handlers = new Map();
export const ipcMain = Object.assign(new EventEmitter(), { handle: (name, handler) => handlers.set(name, handler) });
export const app = Object.assign(new EventEmitter(), {
  whenReady: () => Promise.resolve(),
  quit: () => app.emit('will-quit', { preventDefault() {} }),
});
export class BrowserWindow { loadFile(file) { console.log(file.split('/').at(-1)); } }

const sender = Object.assign(new EventEmitter(), { id: 1, isDestroyed: () => false, send: (...message) => sent.push(message) });
const sent = [];
export async function drive() {
  const image = await handlers.get('generate')({ sender }, 'a red apple');
  console.log(Buffer.from(image.png).toString('latin1', 1, 4), sent[0][0], sent.at(-1)[1].phase);
  sender.send = () => ipcMain.emit('cancel', { sender });
  console.log((await handlers.get('generate')({ sender }, 'a castle')).code);
  app.emit('window-all-closed');
}
`;
const electronDriver = `
import { register } from 'node:module';
const fake = new URL('electron-main.mjs', import.meta.url).href;
register('data:text/javascript,' + encodeURIComponent(
  'export const resolve = (name, context, next) => next(name === "electron" ? ' + JSON.stringify(fake) + ' : name, context);'));
await import('./main.mjs');
const { drive } = await import('electron');
await drive();
`;

describe.skipIf(npmMissing)('the examples', () => {
  let project: PackedProject;
  const servers: ChildProcess[] = [];
  const examples = (...path: string[]) => join(project.folder, 'examples', ...path);
  beforeAll(() => {
    project = new PackedProject();
    // Copied from the installed package, as a user does.
    cpSync(join(project.folder, 'node_modules/safelight/examples'), examples(), { recursive: true });
    project.write({ 'package.json': '{ "private": true }', 'stubs.d.ts': stubs });
  });
  afterEach(() => {
    for (const server of servers.splice(0)) server.kill('SIGKILL');
  });
  afterAll(() => project?.dispose());

  const run = (folder: string, ...args: string[]) => project.node(args, examples(folder));
  const isPng = (...path: string[]) =>
    readFileSync(examples(...path))
      .subarray(1, 4)
      .toString() === 'PNG';

  /** Starts the server of an example on a free port. @returns its process, its address, and a growing list of its output lines */
  async function serve(
    folder: string,
    file: string,
  ): Promise<{ server: ChildProcess; address: string; output: string[] }> {
    const env = { ...process.env, NODE_OPTIONS: '', PORT: '0' };
    const server = spawn(process.execPath, [file], {
      cwd: examples(folder),
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    servers.push(server);
    const lines = createInterface({ input: server.stdout! });
    const output: string[] = [];
    lines.on('line', (line) => output.push(line));
    const [address] = (await once(lines, 'line')) as [string];
    return { server, address, output };
  }

  it('type-check', () => {
    const programs = walk(examples(), (file) => /\.([mc]?js|ts)$/.test(file));
    expect(programs.length).toBeGreaterThanOrEqual(15);
    const options = [
      '--module',
      'nodenext',
      '--lib',
      'es2023,dom',
      '--allowJs',
      '--checkJs',
      '--skipLibCheck',
    ];
    expect(project.typeCheck(['stubs.d.ts', ...programs], ...options)).toBe('');
  });

  it('type-check the Next.js route as Next.js does', () => {
    const options = [
      '--module',
      'esnext',
      '--moduleResolution',
      'bundler',
      '--lib',
      'dom,esnext',
      '--skipLibCheck',
    ];
    expect(project.typeCheck([examples('next/app/images/route.ts')], ...options)).toBe('');
  });

  it('respond to a request of the Next.js route with a PNG, and to one without a prompt with status 400', async () => {
    const route = (await import(examples('next/app/images/route.ts'))) as {
      GET(request: Request): Promise<Response>;
    };
    const answer = await route.GET(new Request('http://localhost/images?prompt=apple'));
    expect(answer.headers.get('content-type')).toBe('image/png');
    expect(
      Buffer.from(await answer.arrayBuffer())
        .subarray(1, 4)
        .toString(),
    ).toBe('PNG');
    expect((await route.GET(new Request('http://localhost/images'))).status).toBe(400);
  });

  it.each([
    ['node', 'generate.mjs'],
    ['commonjs', 'generate.cjs'],
    ['ai-sdk', 'generate.mjs'],
  ])('generate an image: %s/%s', (folder, file) => {
    const { status, stdout, stderr } = run(folder, file, 'a red apple', 'apple.png');
    expect(`${status} ${status === 0 ? '' : stderr}`).toBe('0 ');
    expect(stdout).toBe('apple.png\n');
    expect(isPng(folder, 'apple.png')).toBe(true);
  });

  it('generate several images in worker threads', () => {
    const { status, stdout, stderr } = run('worker-threads', 'main.mjs', 'an apple', 'a pear', 'a castle');
    expect(`${status} ${status === 0 ? '' : stderr}`).toBe('0 ');
    expect(stdout.trim().split('\n').sort()).toEqual(['worker-1.png', 'worker-2.png', 'worker-3.png']);
    for (const index of [1, 2, 3]) expect(isPng('worker-threads', `worker-${index}.png`)).toBe(true);
  });

  it('send progress and an image from the Express server, which exits cleanly on SIGTERM', async () => {
    const { server, address } = await serve('express', 'server.mjs');
    const text = await (await fetch(`${address}/images?prompt=apple`)).text();
    const events = text.trim().split('\n\n');
    expect(events[0]).toMatch(/^event: progress\ndata: \{"phase":"encode"/);
    expect(events.at(-1)).toMatch(
      /^event: image\ndata: \{"seed":\d+,"url":"data:image\/png;base64,iVBORw0KGgo/,
    );
    expect((await fetch(`${address}/images`)).status).toBe(400);
    server.kill('SIGTERM');
    expect(await once(server, 'exit')).toEqual([0, null]);
  });

  it('cancel the generation of an Express client that disconnects', async () => {
    const { address, output } = await serve('express', 'server.mjs');
    const controller = new AbortController();
    const response = await fetch(`${address}/images?prompt=castle`, { signal: controller.signal });
    await response.body?.getReader().read();
    controller.abort();
    await expect.poll(() => output, { timeout: 5000 }).toContain('cancelled: castle');
  });

  it('run a server that Vite bundled with Safelight left external', async () => {
    const { status, stderr } = run('bundlers', 'vite.mjs');
    expect(`${status} ${status === 0 ? '' : stderr}`).toBe('0 ');
    const bundle = readFileSync(examples('bundlers/dist/server.mjs'), 'utf8');
    expect(bundle).toMatch(/from ?["']safelight["']/);
    const { address } = await serve('bundlers', 'dist/server.mjs');
    const answer = await fetch(`${address}/?prompt=pear`);
    expect(
      Buffer.from(await answer.arrayBuffer())
        .subarray(1, 4)
        .toString(),
    ).toBe('PNG');
  });

  it('generate an image per row of a CSV file and report the rows with invalid options', () => {
    const rows = 'prompt,seed,steps\n"a pizza, hot",7,2\na pear,8,0\n';
    project.write({ 'examples/batch/rows.csv': rows });
    const { status, stdout, stderr } = run('batch', 'generate.mjs', 'rows.csv', 'rows');
    expect(status).toBe(1);
    expect(stdout).toBe(`${join('rows', '0001-a-pizza-hot.png')}\n`);
    expect(stderr).toMatch(/^row 2: Expected .* for steps, received 0/m);
    expect(stderr).toContain('1 generated, 1 failed, of 2');
    expect(isPng('batch', 'rows', '0001-a-pizza-hot.png')).toBe(true);
  });

  it('continue a batch that Ctrl-C cancelled', async () => {
    project.write({ 'examples/batch/fruit.txt': 'an apple\n\na pear\n' });
    const child = spawn(process.execPath, ['generate.mjs', 'fruit.txt', 'fruit'], {
      cwd: examples('batch'),
      env: { ...process.env, NODE_OPTIONS: '' },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    servers.push(child);
    await once(createInterface({ input: child.stdout! }), 'line');
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([130, null]);
    expect(readdirSync(examples('batch/fruit'))).toEqual(['0001-an-apple.png']);

    const { status, stdout } = run('batch', 'generate.mjs', 'fruit.txt', 'fruit');
    expect(status).toBe(0);
    expect(stdout).toBe(`${join('fruit', '0002-a-pear.png')}\n`);
  });

  it('generate and cancel in the main process of the Electron example, and free the model on exit', () => {
    project.write({
      'examples/electron/electron-main.mjs': electronMain,
      'examples/electron/driver.mjs': electronDriver,
    });
    const { status, stdout, stderr } = run('electron', 'driver.mjs');
    expect(`${status} ${status === 0 ? '' : stderr}`).toBe('0 ');
    expect(stdout.trim().split('\n')).toEqual(['renderer.html', 'PNG progress decode', 'ABORTED']);
  });

  it('are all named in their README', () => {
    const readme = readFileSync(join(root, 'examples/README.md'), 'utf8');
    for (const [, target = ''] of readme.matchAll(/\]\(([^)]+)\)/g))
      expect(existsSync(join(root, 'examples', target))).toBe(true);
    const folders = new Set(
      walk(join(root, 'examples')).map((file) => file.slice(join(root, 'examples/').length).split('/')[0]),
    );
    for (const folder of folders) if (folder !== 'README.md') expect(readme).toContain(`](${folder}`);
  });
});
