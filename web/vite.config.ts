/** How the page is built: into dist/web, every file but index.html named by its contents. */
import { defineConfig } from 'vite';

export default defineConfig({
  base: '/',
  build: {
    outDir: '../dist/web',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0, // a data: address is no 'self' to the content security policy
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { '/v1': 'http://127.0.0.1:7860', '/login': 'http://127.0.0.1:7860' } },
});
