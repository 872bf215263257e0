/** A project that has the packed package installed, for tests that compile and run users' programs. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { npmRun, root } from './npm.js';

export interface PackageManifest {
  readonly version: string;
  readonly main: string;
  readonly types: string;
  readonly typesVersions: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  readonly bin: Readonly<Record<string, string>>;
  readonly engines: { readonly node: string };
  readonly exports: Readonly<
    Record<string, string | Readonly<Record<string, Readonly<Record<string, string>>>>>
  >;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional?: boolean }>>;
}

export const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as PackageManifest;

/** Returns the paths in the tarball of `npm pack`, without the copy of ggml that its scripts add. */
export function packedFiles(): string[] {
  const { stdout } = npmRun(root, process.env, 'pack', '--json', '--dry-run', '--ignore-scripts');
  return filesOf(stdout);
}

function filesOf(json: string): string[] {
  const [packed] = JSON.parse(json) as { files: { path: string }[] }[];
  return (packed?.files ?? []).map(({ path }) => path);
}

export class PackedProject {
  readonly folder = mkdtempSync(join(tmpdir(), 'safelight-packed-'));
  readonly files: readonly string[];

  /**
   * Packs the package, unpacks it into node_modules, and links its dependencies and its addon from this clone, which needs no
   * network. `install.test.ts` installs the package with npm instead, with a newly built binary.
   */
  constructor() {
    const packing = ['pack', '--json', '--ignore-scripts', '--pack-destination', this.folder];
    this.files = filesOf(npmRun(root, process.env, ...packing).stdout);
    const installed = join(this.folder, 'node_modules/safelight');
    mkdirSync(installed, { recursive: true });
    const tarball = join(this.folder, `safelight-${manifest.version}.tgz`);
    execFileSync('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1']);
    rmSync(tarball);
    for (const name of readdirSync(join(root, 'node_modules'))) {
      if (name.startsWith('.')) continue;
      symlinkSync(join(root, 'node_modules', name), join(this.folder, 'node_modules', name), 'junction');
    }
    symlinkSync(join(root, 'build'), join(installed, 'build'), 'junction');
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  write(files: Readonly<Record<string, string>>): void {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(this.folder, name)), { recursive: true });
      writeFileSync(join(this.folder, name), text);
    }
  }

  /** Type-checks files. @param options of tsc's command line @returns the errors; empty if there are none */
  typeCheck(files: readonly string[], ...options: string[]): string {
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    const common = ['--noEmit', '--strict', '--target', 'es2022', '--types', 'node', '--pretty', 'false'];
    const { stdout, stderr } = this.node([compiler, ...common, ...options, ...files]);
    return stdout + stderr;
  }

  node(
    args: readonly string[],
    cwd: string = this.folder,
  ): { status: number | null; stdout: string; stderr: string } {
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      cwd,
      encoding: 'utf8',
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    return { status, stdout, stderr };
  }
}
