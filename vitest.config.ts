import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

const common = { pool: 'forks', testTimeout: 60_000, hookTimeout: 60_000 } as const;

export default defineConfig({
  test: {
    // All cores: much of the time one test waits for a process that it has started.
    maxWorkers: Math.max(2, availableParallelism()),
    projects: [
      {
        test: { ...common, name: 'safelight', include: ['test/**/*.test.ts'], exclude: ['test/package/**', 'test/gpu/vulkan.test.ts'] },
      },
      {
        // After the others and alone: it builds, packs and installs, which moves files that the others use.
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
