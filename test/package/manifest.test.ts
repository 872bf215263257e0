/** Checks package.json against the packed files and the installed dependencies. */
import { readFileSync } from 'node:fs';
import { builtinModules, createRequire } from 'node:module';
import { join, posix } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { importsOf } from '../../scripts/check-dependencies.mjs';
import { walk } from '../../scripts/files.mjs';
import { npmMissing, root } from './npm.js';
import { manifest, packedFiles } from './packed-project.js';

interface SemVer {
  subset(range: string, of: string): boolean;
  minVersion(range: string): { readonly major: number; readonly minor: number };
}
const semver = createRequire(import.meta.url)('semver') as SemVer;

describe('the supported Node versions', () => {
  interface Locked {
    readonly version?: string;
    readonly dev?: boolean;
    readonly devOptional?: boolean;
    readonly optional?: boolean;
    readonly engines?: { readonly node?: string };
  }
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Locked>;
  };

  it('are supported by every package that is installed with Safelight', () => {
    // npm silently omits an optional package that does not support the platform or the version of Node.
    const refusing = Object.entries(lock.packages)
      .filter(([path, { dev, devOptional, optional }]) => path !== '' && !dev && !devOptional && !optional)
      .filter(([, { engines }]) => engines?.node && !semver.subset(manifest.engines.node, engines.node))
      .map(([path, { engines }]) => `${path} requires Node ${engines?.node}`);
    expect(refusing).toEqual([]);
  });

  it('are supported by every package in the bundle', () => {
    const licenses = readFileSync(join(root, 'dist/THIRD-PARTY.md'), 'utf8');
    const bundled = [...licenses.matchAll(/^## (\S+) (\S+) \(/gm)];
    expect(bundled.map(([, name]) => name)).toEqual(expect.arrayContaining(['fastify', 'zod', 'commander']));
    const refusing = bundled.flatMap(([, name, version]) =>
      Object.entries(lock.packages)
        .filter(([path, entry]) => path.endsWith(`node_modules/${name}`) && entry.version === version)
        .filter(([, { engines }]) => engines?.node && !semver.subset(manifest.engines.node, engines.node))
        .map(([path, { engines }]) => `${path} requires Node ${engines?.node}`),
    );
    expect(refusing).toEqual([]);
  });

  it('are the same in the lock file and on the command line', () => {
    expect(lock.packages['']?.engines?.node).toBe(manifest.engines.node);
    const { major, minor } = semver.minVersion(manifest.engines.node);
    const entry = readFileSync(join(root, 'lib/cli/main.ts'), 'utf8');
    expect(entry).toContain(`OLDEST_NODE = [${major}, ${minor}]`);
  });

  it('can all require an ES module, which index.cjs does', () => {
    expect(semver.subset(manifest.engines.node, '^20.19.0 || >=22.12.0')).toBe(true);
  });
});

it('has no unused dependency', () => {
  const sources = walk(join(root, 'lib')).map((file) => readFileSync(file, 'utf8'));
  const unused = Object.keys(manifest.dependencies).filter(
    (name) => !sources.some((text) => text.includes(`'${name}`)),
  );
  expect(unused).toEqual([]);
});

describe.skipIf(npmMissing)('the packed files', () => {
  let files: string[] = [];
  beforeAll(() => {
    files = packedFiles();
  });

  it('contain all files that package.json names', () => {
    const named = [manifest.main, manifest.types, ...Object.values(manifest.bin)];
    for (const paths of Object.values(manifest.typesVersions['*'] ?? {})) named.push(...paths);
    for (const entry of Object.values(manifest.exports)) {
      if (typeof entry === 'string') named.push(entry);
      else named.push(...Object.values(entry).flatMap((condition) => Object.values(condition)));
    }
    expect(named.map((path) => posix.normalize(path)).filter((path) => !files.includes(path))).toEqual([]);
  });

  it('name the types of each entry first, in the module format of its code', () => {
    for (const [path, entry] of Object.entries(manifest.exports)) {
      if (typeof entry === 'string') continue;
      expect(Object.keys(entry), path).toEqual(['import', 'require']);
      const stem = entry.import?.default?.replace(/\.js$/, '');
      expect(Object.entries(entry.import ?? {}), path).toEqual([
        ['types', `${stem}.d.ts`],
        ['default', `${stem}.js`],
      ]);
      expect(Object.entries(entry.require ?? {}), path).toEqual([
        ['types', `${stem}.d.cts`],
        ['default', `${stem}.cjs`],
      ]);
    }
  });

  it('contain documentation and examples, and no development files', () => {
    for (const file of [
      'README.md',
      'LICENSE',
      'CONTRIBUTING.md',
      'docs/frameworks.md',
      'examples/README.md',
    ])
      expect(files).toContain(file);
    const development =
      /(^|\/)(test|bench|node_modules|\.[^/]+)\/|^(build|prebuilds\/\.)|\.(tgz|tsbuildinfo|log)$|\.test\./;
    expect(files.filter((file) => development.test(file))).toEqual([]);
  });

  it('import only each other, dependencies and types of optional peers', () => {
    const wrong: string[] = [];
    const packed = new Set(files);
    for (const file of files.filter((path) => /^dist\/(?!web\/).*\.(js|d\.ts)$/.test(path))) {
      for (const { specifier } of importsOf(readFileSync(join(root, file), 'utf8'))) {
        if (!resolves(file, specifier, packed)) wrong.push(`${file} imports ${specifier}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});

function resolves(file: string, specifier: string, packed: ReadonlySet<string>): boolean {
  if (specifier.startsWith('.')) {
    const target = posix.join(posix.dirname(file), specifier);
    return packed.has(file.endsWith('.d.ts') ? target.replace(/\.js$/, '.d.ts') : target);
  }
  if (specifier.startsWith('node:')) return builtinModules.includes(specifier.slice('node:'.length));
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
  if (name in manifest.dependencies) return true;
  return manifest.peerDependenciesMeta[name]?.optional === true;
}
