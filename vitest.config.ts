import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

const common = { pool: 'forks', testTimeout: 60_000, hookTimeout: 60_000 } as const;

export default defineConfig({
  test: {
    // Uses all cores, because tests often wait for processes that they have started.
    maxWorkers: Math.max(2, availableParallelism()),
    projects: [
      {
        test: { ...common, name: 'safelight', include: ['test/**/*.test.ts'], exclude: ['test/package/**', 'test/gpu/vulkan.test.ts'] },
      },
      {
        // Runs after the other tests, one file at a time: it builds, packs and installs, which moves files that they use.
        test: {
          ...common,
          name: 'package',
          include: ['test/package/**/*.test.ts'],
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
