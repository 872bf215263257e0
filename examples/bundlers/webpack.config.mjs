// @ts-check
// Bundles server.mjs with webpack: npx webpack, then node dist/server.mjs.
/** @type {import('webpack').Configuration} */
export default {
  mode: 'production',
  target: 'node20',
  entry: { server: './server.mjs' },
  output: { filename: '[name].mjs', module: true, chunkFormat: 'module' },
  experiments: { outputModule: true },
  // Safelight finds its native binary and its models beside its own files.
  externals: { safelight: 'module safelight' },
};
