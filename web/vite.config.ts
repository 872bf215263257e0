/** Build of the web page into dist/web. All files except index.html have a content hash in their names. */
import { defineConfig } from 'vite';

export default defineConfig({
  base: './', // the page may be served below a base path,
  build: {
    outDir: '../dist/web',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0, // data: URLs are not allowed by the content security policy
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { '/v1': 'http://127.0.0.1:7860', '/login': 'http://127.0.0.1:7860' } },
});
