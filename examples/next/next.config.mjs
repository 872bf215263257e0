// @ts-check
/** @type {import('next').NextConfig} */
const config = {
  // Safelight finds its native addon and its starter models in packages of their own, so it must not be bundled.
  serverExternalPackages: ['safelight'],
  // Required only with `output: 'standalone'`: files that Next.js cannot trace through imports.
  outputFileTracingIncludes: {
    '/images': [
      './node_modules/safelight/{package.json,build/Release/**,dist/**}',
      './node_modules/@safelight/**',
    ],
  },
};

export default config;
