/**
 * Generates with the packed package in other runtimes than Node. Bun and Deno come as npm packages, which are installed in
 * .build/runtimes on first use. Electron's npm package downloads the runtime from GitHub when it is installed, so its example is
 * tested with a substitute (examples.test.ts).
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { npmMissing, npmRun, root } from './npm.js';
import { PackedProject } from './packed-project.js';

interface Runtime {
  readonly name: string;
  /** Package with the program for Linux on x64 and glibc. */
  readonly package: string;
  readonly version: string;
  readonly program: string;
  readonly arguments: readonly string[];
}

const runtimes: readonly Runtime[] = [
  {
    ...{ name: 'Bun', package: '@oven/bun-linux-x64', version: '1.4.5' },
    ...{ program: 'bin/bun', arguments: ['run'] },
  },
  {
    ...{ name: 'Deno', package: '@deno/linux-x64-glibc', version: '2.9.6' },
    ...{ program: 'deno', arguments: ['run', '--allow-all', '--no-lock'] },
  },
];

const program = `
import { Pipeline, readPngText, SafelightError } from 'safelight';
const pipeline = await Pipeline.load();
const { images } = await pipeline.generate({ prompt: 'a red apple', steps: 2, seed: 1 });
const png = await images[0].png();
const stop = new AbortController();
let code = 'none';
try {
  await pipeline.generate({
    prompt: 'a castle', steps: 40, signal: stop.signal,
    onProgress: ({ step }) => { if (step === 1) stop.abort(); },
  });
} catch (error) {
  code = error instanceof SafelightError ? error.code : String(error);
}
await pipeline.dispose();
const digest = Buffer.from(await crypto.subtle.digest('SHA-256', images[0].data)).toString('hex');
console.log(JSON.stringify({ digest, texts: Object.keys(readPngText(png)), code }));
`;

const missing =
  npmMissing ||
  (process.platform === 'linux' && process.arch === 'x64' ? '' : 'the programs are those for Linux on x64');
if (missing) console.warn(`The tests of other runtimes are skipped because ${missing}.`);

describe.skipIf(missing)('the packed package', () => {
  let project: PackedProject;
  beforeAll(() => {
    project = new PackedProject();
    project.write({ 'package.json': '{ "private": true, "type": "module" }', 'generate.mjs': program });
  });
  afterAll(() => project?.dispose());

  it.for(runtimes)('generates the image of Node in $name, and can be cancelled', (runtime, { skip }) => {
    const path = installed(runtime);
    if (path === undefined) return skip(`${runtime.package} is missing, and no npm registry can be reached`);
    const run = (command: string, args: readonly string[]) => {
      const { status, stdout, stderr } = spawnSync(command, [...args, 'generate.mjs'], {
        ...{ cwd: project.folder, encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' } },
      });
      return { status, stdout, stderr: status === 0 ? '' : stderr };
    };
    const inNode = run(process.execPath, []);
    expect(JSON.parse(inNode.stdout)).toMatchObject({ code: 'ABORTED' });
    expect(run(path, runtime.arguments)).toEqual(inNode);
  });
});

/** Returns the program of a runtime, installed on first use; undefined if the registry cannot be reached. */
function installed({ package: name, version, program: file }: Runtime): string | undefined {
  const folder = join(root, '.build/runtimes');
  const path = join(folder, 'node_modules', name, file);
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true });
    if (!existsSync(join(folder, 'package.json')))
      writeFileSync(join(folder, 'package.json'), '{ "private": true }');
    try {
      npmRun(folder, process.env, 'install', '--ignore-scripts', '--fetch-retries=1', `${name}@${version}`);
    } catch (error) {
      if (!/ENOTFOUND|EAI_AGAIN|ECONN|ETIMEDOUT|ENETUNREACH/.test(String(error))) throw error;
      return undefined;
    }
  }
  chmodSync(path, 0o755);
  return path;
}
