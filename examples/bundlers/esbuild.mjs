// @ts-check
// Bundles server.mjs with esbuild: node esbuild.mjs && node dist/server.mjs
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
  // Safelight locates its native binary and its models relative to its own files, so it is not bundled.
  external: ['safelight'],
});
