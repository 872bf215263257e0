// @ts-check
/** A project in which Safelight is installed as npm would on another platform. */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lockedIntegrity, root } from '../files.mjs';
import { run } from '../prebuild/run.mjs';

/**
 * Installs the dependencies of the package for a platform, then the package as packed from this clone, the bundled models and
 * the platform package. Returns the project's folder.
 * @param {string} name of the platform
 * @param {import('../prebuild/platforms.mjs').Platform} platform
 */
export function installProject(name, platform) {
  const folder = join(root, '.build/platforms', name, 'project');
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const published = Object.entries(dependencies).filter(([it]) => !it.startsWith('@safelight/'));
  const manifest = JSON.stringify({ private: true, dependencies: Object.fromEntries(published) });
  const note = join(folder, '.installed');
  const state = `${manifest} ${lockedIntegrity('sharp')}`;
  mkdirSync(folder, { recursive: true });
  if (!existsSync(note) || readFileSync(note, 'utf8') !== state) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), manifest);
    const libc = platform.triple.endsWith('musl') ? 'musl' : 'glibc';
    const system = [
      `--os=${platform.os}`,
      `--cpu=${platform.arch}`,
      ...(platform.os === 'linux' ? [`--libc=${libc}`] : []),
    ];
    const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    run(
      'npm',
      ['install', '--prefix', folder, ...quiet, ...system],
      `installing the dependencies for ${name}`,
    );
    writeFileSync(note, state);
  }
  const safelight = join(folder, 'node_modules/safelight');
  const scope = join(folder, 'node_modules/@safelight');
  for (const place of [safelight, scope]) rmSync(place, { recursive: true, force: true });
  mkdirSync(scope, { recursive: true });
  for (const file of ['package.json', 'dist'])
    cpSync(join(root, file), join(safelight, file), { recursive: true });
  symlinkSync(join(root, 'models'), join(scope, 'starter'));
  for (const file of ['package.json', 'safelight.node'])
    cpSync(join(root, 'prebuilds', name, file), join(scope, name, file));
  return folder;
}
