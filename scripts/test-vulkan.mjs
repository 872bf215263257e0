// @ts-check
/**
 * `npm run test:vulkan`: builds the Vulkan backend and runs test/gpu/vulkan.test.ts on lavapipe, Mesa's software device. The
 * tests run twice: with matrix products in f32, and with their inputs rounded to f16, which is ggml's default. `--f32` or
 * `--f16` runs only one of the two; `--device` uses the machine's Vulkan devices instead. The build (.build/vulkan) and the
 * shaders (.build/lavapipe/shaders) are reused by the next run.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './files.mjs';
import { lavapipe } from './lavapipe.mjs';

const realDevice = process.argv.includes('--device');
const flags = ['--device', '--f32', '--f16'];
const rest = process.argv.slice(2).filter((argument) => !flags.includes(argument));
mkdirSync(join(root, '.build/lavapipe'), { recursive: true });
const variables = realDevice ? {} : lavapipe();
run(process.execPath, ['scripts/build-native.mjs', '--vulkan'], {});
// The cases run one after another because two at a time would compile the same shaders.
const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/gpu/vitest.config.ts', ...rest];
if (!process.argv.includes('--f16'))
  run(process.execPath, vitest, { ...variables, GGML_VK_DISABLE_F16: '1' });
if (!process.argv.includes('--f32')) run(process.execPath, vitest, variables);

/** @param {string} command @param {string[]} args @param {Record<string, string>} more */
function run(command, args, more) {
  const { status } = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...more },
  });
  if (status !== 0) process.exit(status ?? 1);
}
