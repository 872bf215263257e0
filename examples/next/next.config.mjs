// @ts-check
/** @type {import('next').NextConfig} */
const config = {
  // Safelight locates its native binary and its starter model relative to its own files, so it must not be bundled.
  serverExternalPackages: ['safelight'],
  // Required only with `output: 'standalone'`: files that Next.js cannot trace through imports.
  outputFileTracingIncludes: {
    '/images': ['./node_modules/safelight/{build/Release,prebuilds,models}/**'],
  },
};

export default config;
