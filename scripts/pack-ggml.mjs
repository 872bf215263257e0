// @ts-check
/**
 * npm's `prepack` and `postpack` scripts. The tarball contains the ggml source that `safelight build` compiles, as
 * native/ggml. A clone uses the dev dependency ggml-source instead, so the copy exists only while npm packs. Backends that
 * Safelight does not build, half of the source, are left out.
 */
import { cpSync, existsSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { root } from './files.mjs';

const target = join(root, 'native/ggml');
const backends = ['ggml-cpu', 'ggml-cuda', 'ggml-metal', 'ggml-vulkan'];

rmSync(target, { recursive: true, force: true });
if (process.argv[2] === 'copy') {
  const source = join(root, 'node_modules/ggml-source/cpp/whisper.cpp');
  if (!existsSync(join(source, 'ggml/CMakeLists.txt'))) {
    console.error('safelight prepack: node_modules/ggml-source does not contain ggml; run npm ci first.');
    process.exit(1);
  }
  cpSync(join(source, 'ggml'), target, {
    recursive: true,
    filter: (file) => {
      const folder = /^src\/(ggml-[^/.]+)(\/|$)/.exec(
        relative(join(source, 'ggml'), file).replaceAll('\\', '/'),
      )?.[1];
      return folder === undefined || backends.includes(folder);
    },
  });
  cpSync(join(source, 'LICENSE'), join(target, 'LICENSE'));
}
