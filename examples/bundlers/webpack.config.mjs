// @ts-check
// Bundles server.mjs with webpack: npx webpack && node dist/server.mjs
/** @type {import('webpack').Configuration} */
export default {
  mode: 'production',
  target: 'node20',
  entry: { server: './server.mjs' },
  output: { filename: '[name].mjs', module: true, chunkFormat: 'module' },
  experiments: { outputModule: true },
  // Safelight locates its native binary and its models relative to its own files, so it is not bundled.
  externals: { safelight: 'module safelight' },
};
