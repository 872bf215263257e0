import { defineConfig } from 'vitest/config';

/** Configuration of `npm run test:vulkan`, which runs the Vulkan backend on a driver. */
export default defineConfig({
  test: { include: ['test/gpu/vulkan.test.ts'], pool: 'forks', fileParallelism: false, hookTimeout: 600_000 },
});
