import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

const common = {
  ...{ pool: 'forks', testTimeout: 60_000, hookTimeout: 60_000 },
  // A busy machine takes longer than the default of 1 s for what a test waits for.
  expect: { poll: { timeout: 20_000 } },
} as const;

/**
 * Files of the unit tests (`npm run test:unit`). The rule: they do not load a model or the native addon, start no process, server
 * or browser, and take less than a few seconds each. test/unit-setup.ts enforces the first part. Where a folder contains other tests
 * too, its unit tests are listed by name, or the others are excluded by name.
 */
const unit = [
  'test/*.test.ts',
  'test/{checkpoint,image,sampling,tensor,tokenizers}/*.test.ts',
  'test/docs/codes.test.ts',
  'test/adapters/lora-options.test.ts',
  'test/checkpoint/config/!(latent-transformer).test.ts',
  'test/checkpoint/{formats/shards,gguf/reader}.test.ts',
  'test/checkpoint/naming/*.test.ts',
  'test/checkpoint/torch/!(fuzz|models).test.ts',
  'test/checkpoint/weights/{read-tensor,single-file-names,stated-training}.test.ts',
  'test/cli/progress.test.ts',
  'test/conditioning/!(linear-time|t5-text).test.ts',
  'test/jobs/id.test.ts',
  'test/jobs/run/!(upscale).test.ts',
  'test/jobs/{service,trace}/*.test.ts',
  'test/jobs/models/{catalog-requests,configured-models,pool,pool-entries}.test.ts',
  'test/jobs/store/{data-folder,disk-watch}.test.ts',
  'test/mcp/{inline-image,progress,sessions}.test.ts',
  'test/options/{custom,exact,limits,round-trips}.test.ts',
  'test/pipelines/{options,restore,save,suggestions}.test.ts',
  'test/pipelines/upscale/{upscale-to,upscaler-folder}.test.ts',
  'test/pipelines/diffusion/{flow-sigmas,image-size,plan,variation}.test.ts',
  'test/web/{logic,restore-exact}.test.ts',
];

export default defineConfig({
  test: {
    // Uses all cores, because tests often wait for processes that they have started.
    maxWorkers: Math.max(2, availableParallelism()),
    coverage: {
      provider: 'v8',
      include: ['lib/**/*.ts'],
      reportsDirectory: '.build/coverage',
      reporter: ['text', 'html', 'lcovonly', 'json-summary'],
      reportOnFailure: true,
      // Only code that runs in the test processes counts. Most tests of the command line, of Redis workers and of killed servers
      // start dist/ in child processes, so the figures of lib/cli are lower than what its tests run.
      thresholds: {
        'lib/options/**': { branches: 90 },
        'lib/checkpoint/**': { branches: 90 },
        'lib/conditioning/**': { branches: 90 },
        'lib/jobs/**': { branches: 90 },
        'lib/server/**': { branches: 90 },
      },
    },
    projects: [
      {
        // One module graph per worker instead of one per file: importing lib/ takes longer than most of these tests.
        test: { ...common, name: 'unit', include: unit, isolate: false, setupFiles: ['test/unit-setup.ts'] },
      },
      {
        test: {
          ...common,
          name: 'safelight',
          include: ['test/**/*.test.ts'],
          exclude: ['test/package/**', 'test/gpu/vulkan.test.ts', ...unit],
        },
      },
      {
        // The graphs of GPUs, which our kernels do not run, without a GPU.
        test: {
          ...common,
          name: 'stock operations',
          env: { SAFELIGHT_KERNELS: 'off' },
          include: ['test/modules/{latent-transformer,reference}.test.ts', 'test/modules/{upscale,vqgan}/{networks,vq-model}.test.ts'],
        },
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
