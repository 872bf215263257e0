// @ts-check
// Bundles server.mjs with Vite: node vite.mjs && node dist/server.mjs
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

await build({
  root: fileURLToPath(new URL('.', import.meta.url)),
  build: { ssr: 'server.mjs', outDir: 'dist', rollupOptions: { output: { entryFileNames: '[name].mjs' } } },
  // Bundles all dependencies except Safelight, which locates its native binary and its models relative to its own files.
  ssr: { noExternal: true, external: ['safelight'] },
});
