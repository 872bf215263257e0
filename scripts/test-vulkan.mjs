// @ts-check
/**
 * `npm run test:vulkan`: builds the Vulkan backend and runs test/gpu/vulkan.test.ts on lavapipe, Mesa's software device; `--device` takes the machine's
 * own Vulkan devices instead. The build (.build/vulkan) and the shaders (.build/lavapipe/shaders) are kept for the next run.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './files.mjs';
import { lavapipe } from './lavapipe.mjs';

const own = process.argv.includes('--device');
const rest = process.argv.slice(2).filter((argument) => argument !== '--device');
mkdirSync(join(root, '.build/lavapipe'), { recursive: true });
const variables = own ? {} : lavapipe();
run(process.execPath, ['scripts/build-native.mjs', '--vulkan'], {});
// One case after the other: two would compile the same shaders.
const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/gpu/vitest.config.ts', ...rest];
run(process.execPath, vitest, variables);

/** @param {string} command @param {string[]} args @param {Record<string, string>} more */
function run(command, args, more) {
  const { status } = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...more },
  });
  if (status !== 0) process.exit(status ?? 1);
}
