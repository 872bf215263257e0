// @ts-check
/**
 * Runs the binary of a platform package under that platform's Node.js on this machine: `safelight backends`, and `safelight
 * generate` with the starter model, whose image may differ by 1 of 255 from that of the addon in build/Release. Prints one
 * line for each system and ends with exit code 1 on a difference.
 *
 *   node scripts/platforms/check.mjs linux-x64|linux-arm64|linuxmusl-x64|linuxmusl-arm64
 *
 * Needs prebuilds/PLATFORM/safelight.node (scripts/prebuild.mjs), Debian on x64 and a network: it downloads Node.js, C libraries
 * and the dependencies for the platform to .build/platforms. Arm needs qemu-user too.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../files.mjs';
import { inspect } from '../prebuild/inspect.mjs';
import { platforms } from '../prebuild/platforms.mjs';
import { fail, runMain } from '../prebuild/run.mjs';
import { difference } from './images.mjs';
import { installProject } from './project.mjs';
import { systems } from './systems.mjs';

/** Largest accepted difference of a color value: other instruction sets round differently. */
const TOLERANCE = 1;

const name = process.argv[2] ?? '';
const images = mkdtempSync(join(tmpdir(), 'safelight-platforms-'));
process.on('exit', () => rmSync(images, { recursive: true, force: true }));
await runMain(async () => {
  const platform = platforms[name];
  const prepare = systems[name];
  if (!platform || !prepare)
    return fail(`usage: node scripts/platforms/check.mjs ${Object.keys(systems).join('|')}`);
  inspect(join(root, 'prebuilds', name, 'safelight.node'), platform);
  const project = installProject(name, platform);
  const expected = join(images, 'host.png');
  generate({ name: 'the host', command: [process.execPath] }, root, expected, 1);
  for (const system of await prepare()) await check(system, project, expected);
});

/**
 * @param {import('./systems.mjs').System} system
 * @param {string} project
 * @param {string} expected image of the host
 */
async function check(system, project, expected) {
  const safelight = join(project, 'node_modules/safelight');
  const version = run(system, [
    '-p',
    'process.version + " for " + process.platform + "-" + process.arch',
  ]).trim();
  const [{ kernels }] = JSON.parse(run(system, [join(safelight, 'dist/cli/main.js'), 'backends', '--json']));
  // Two threads also run those of ggml. Under qemu they spend most of the time waiting for each other.
  for (const threads of system.slow ? [1] : [1, 2]) {
    const image = join(images, `${threads}.png`);
    const seconds = generate(system, safelight, image, threads);
    const { most, differing, values } = await difference(expected, image);
    const good = most <= TOLERANCE;
    if (!good) process.exitCode = 1;
    console.log(
      `${good ? 'ok    ' : 'FAILED'} ${name} on ${system.name}, Node.js ${version}, ${kernels} kernels, --threads ${threads}: ` +
        `largest difference ${most} of 255, ${differing} of ${values} values differ, ${seconds.toFixed(1)} s`,
    );
  }
}

/**
 * Writes the image and returns the seconds.
 * @param {import('./systems.mjs').System} system
 * @param {string} folder of the package @param {string} file @param {number} threads
 */
function generate(system, folder, file, threads) {
  const begun = performance.now();
  const options = ['--seed', '1', '--steps', '4', '--threads', `${threads}`, '--backend', 'cpu'];
  run(system, [join(folder, 'dist/cli/main.js'), 'generate', 'a red apple', ...options, '-o', file]);
  return (performance.now() - begun) / 1000;
}

/** Returns the output of Node.js. @param {import('./systems.mjs').System} system @param {string[]} args */
function run(system, args) {
  const [program = '', ...first] = system.command;
  const { status, signal, error, stdout, stderr } = spawnSync(program, [...first, ...args], {
    cwd: images,
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '', ...system.env },
    timeout: 20 * 60_000,
  });
  if (error) fail(`${program} cannot be run: ${error.message}`);
  if (status !== 0)
    fail(`FAILED ${name} on ${system.name}: ${args.join(' ')} ended with ${signal ?? status}\n${stderr}`);
  return stdout;
}
