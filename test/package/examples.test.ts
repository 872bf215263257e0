/** The programs in examples/ type-check against the packed package; those whose packages are installed here run, too. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { walk } from '../../scripts/files.mjs';
import { npmMissing, root } from './npm.js';
import { PackedProject } from './packed-project.js';

/** What the examples use of packages that are not installed here. */
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

describe.skipIf(npmMissing)('the examples', () => {
  let project: PackedProject;
  const servers: ChildProcess[] = [];
  const examples = (...path: string[]) => join(project.folder, 'examples', ...path);
  beforeAll(() => {
    project = new PackedProject();
    // As they lie in the installed package, where a user copies them from.
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

  /** Starts a server of an example on a free port. @returns its address */
  async function serve(
    folder: string,
    file: string,
  ): Promise<{ server: ChildProcess; address: string; said: string[] }> {
    const env = { ...process.env, NODE_OPTIONS: '', PORT: '0' };
    const server = spawn(process.execPath, [file], {
      cwd: examples(folder),
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    servers.push(server);
    const lines = createInterface({ input: server.stdout! });
    const said: string[] = [];
    lines.on('line', (line) => said.push(line));
    const [address] = (await once(lines, 'line')) as [string];
    return { server, address, said };
  }

  it('type-check', () => {
    const programs = walk(examples(), (file) => /\.([mc]?js|ts)$/.test(file));
    expect(programs.length).toBeGreaterThanOrEqual(10);
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

  it('answer a request of the Next.js route with a PNG, and a missing prompt with 400', async () => {
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
  ])('draw an image: %s/%s', (folder, file) => {
    const { status, stdout, stderr } = run(folder, file, 'a red apple', 'apple.png');
    expect(`${status} ${status === 0 ? '' : stderr}`).toBe('0 ');
    expect(stdout).toBe('apple.png\n');
    expect(isPng(folder, 'apple.png')).toBe(true);
  });

  it('draw several images in worker threads', () => {
    const { status, stdout, stderr } = run('worker-threads', 'main.mjs', 'an apple', 'a pear', 'a castle');
    expect(`${status} ${status === 0 ? '' : stderr}`).toBe('0 ');
    expect(stdout.trim().split('\n').sort()).toEqual(['worker-1.png', 'worker-2.png', 'worker-3.png']);
    for (const index of [1, 2, 3]) expect(isPng('worker-threads', `worker-${index}.png`)).toBe(true);
  });

  it('stream progress and an image from Express, and stop cleanly', async () => {
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

  it('cancel the image of an Express client that disconnects', async () => {
    const { address, said } = await serve('express', 'server.mjs');
    const controller = new AbortController();
    const response = await fetch(`${address}/images?prompt=castle`, { signal: controller.signal });
    await response.body?.getReader().read();
    controller.abort();
    await expect.poll(() => said, { timeout: 5000 }).toContain('cancelled: castle');
  });

  it('run a server that Vite bundled, with Safelight outside of the bundle', async () => {
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
