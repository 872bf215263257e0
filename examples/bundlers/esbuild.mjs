// @ts-check
// Bundles server.mjs with esbuild: node esbuild.mjs, then node dist/server.mjs.
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

await build({
  absWorkingDir: fileURLToPath(new URL('.', import.meta.url)),
  entryPoints: ['server.mjs'],
  outdir: 'dist',
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  // Safelight finds its native binary and its models beside its own files.
  external: ['safelight'],
});
