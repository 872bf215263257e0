// @ts-check
/** @type {import('next').NextConfig} */
const config = {
  // Safelight finds its native binary and its starter model beside its own files, so it must not be bundled.
  serverExternalPackages: ['safelight'],
  // Only for `output: 'standalone'`: what the tracer cannot see is copied by name.
  outputFileTracingIncludes: {
    '/images': ['./node_modules/safelight/{build/Release,prebuilds,models}/**'],
  },
};

export default config;
