import { defineConfig } from 'vitest/config';

/** The Vulkan backend on a driver: `npm run test:vulkan`. */
export default defineConfig({
  test: { include: ['test/gpu/vulkan.test.ts'], pool: 'forks', fileParallelism: false, hookTimeout: 600_000 },
});
