/** Runs the Windows binary under wine, and compares its images with those of Linux. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatOf } from '../../scripts/prebuild/inspect.mjs';
import { windowsLinks } from '../../scripts/prebuild/pe.mjs';
import { missingForWine, runWindowsNode, windowsPackage, windowsPath } from '../../scripts/prebuild/wine.mjs';
import { root } from './npm.js';

const missing = missingForWine();
if (missing) console.warn(`The Windows binary is not run because ${missing}.`);

describe.each(['win32-x64', 'win32-arm64'])('the binary of %s', (platform) => {
  const file = join(root, 'prebuilds', platform, 'safelight.node');
  const absent = existsSync(file) ? '' : `node scripts/prebuild.mjs ${platform} has not been run`;

  it('is for its processor, and needs only libraries of Windows', (context) => {
    if (absent) return context.skip(absent);
    expect(formatOf(file)).toBe(platform);
    const { libraries, exported } = windowsLinks(file);
    expect(exported).toContain('napi_register_module_v1');
    expect(libraries.map((name) => name.toLowerCase())).toContain('kernel32.dll');
    // Not node.exe, which has another name in Electron, and not the C++ library of a compiler.
    const foreign = /^(?!(?:kernel32|advapi32|ntdll|bcrypt|user32|api-ms-win-crt-[a-z0-9-]+)\.dll$)/i;
    expect(libraries.filter((name) => foreign.test(name))).toEqual([]);
  });
});

const prompt = ['generate', 'a red apple', '--seed', '1', '--steps', '3', '--threads', '1'];

describe.skipIf(missing)(`the Windows binary${missing ? ` (skipped: ${missing})` : ''}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'safelight-windows-'));
  const linux = join(folder, 'linux.png');
  let project = '';
  let main = '';

  beforeAll(() => {
    project = windowsPackage();
    main = windowsPath(join(project, 'dist/cli/main.js'));
    execFileSync(process.execPath, [join(root, 'dist/cli/main.js'), ...prompt, '-o', linux], {
      stdio: 'pipe',
    });
  }, 300_000);
  afterAll(() => {
    for (const path of [folder, project]) if (path) rmSync(path, { recursive: true, force: true });
  });

  /** Expects an image that differs from that of Linux by at most 1 of 255. */
  async function expectLinuxImage(path: string): Promise<void> {
    const [ours, theirs] = await Promise.all(
      [linux, path].map((file) => sharp(file).raw().toBuffer({ resolveWithObject: true })),
    );
    expect(theirs!.info).toMatchObject({ width: ours!.info.width, height: ours!.info.height, channels: 3 });
    const differences = ours!.data.map((value, i) => Math.abs(value - theirs!.data[i]!));
    expect(differences.reduce((a, b) => Math.max(a, b))).toBeLessThanOrEqual(1);
  }

  it('lists the CPU', () => {
    const { status, stdout, stderr } = runWindowsNode([main, 'backends', '--json']);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(JSON.stringify(JSON.parse(stdout))).toContain('"cpu"');
  }, 120_000);

  it('generates the image of Linux', async () => {
    const path = join(folder, 'windows.png');
    const { status, stderr } = runWindowsNode([main, ...prompt, '-o', windowsPath(path)]);
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
    await expectLinuxImage(path);
  }, 600_000);

  it('reads a model from and writes an image to a Unicode path of more than 260 characters', async () => {
    const deep = join(folder, ...Array.from({ length: 6 }, (_, i) => `größe-模型-🎨-${i}-${'x'.repeat(40)}`));
    expect(windowsPath(deep).length).toBeGreaterThan(300);
    mkdirSync(deep, { recursive: true });
    const model = join(deep, 'starter');
    cpSync(join(root, 'models/starter'), model, { recursive: true });
    const path = join(deep, 'bild ä.png');
    const args = [...prompt, '--model', windowsPath(model), '--memory', 'lean', '-o', windowsPath(path)];
    const { status, stderr } = runWindowsNode([main, ...args]);
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
    expect(existsSync(path)).toBe(true);
    await expectLinuxImage(path);
  }, 600_000);

  it('locks files between processes, and releases the locks of a process that was ended', () => {
    const data = join(folder, 'däta');
    mkdirSync(data);
    const script = windowsPath(join(root, 'test/support/windows-locks.mjs'));
    const { status, stderr } = runWindowsNode([
      script,
      windowsPath(join(root, '.build/lib')), // dist/ is bundled
      windowsPath(data),
    ]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const result = JSON.parse(readFileSync(join(data, 'result.json'), 'utf8'));
    expect(result).toMatchObject({
      refused: {
        code: 'DATA_IN_USE',
        message: expect.stringContaining(`in use by process ${result.holder} since`),
      },
      ...{ plainWhileHeld: 'busy', twice: 'busy', again: 'object', released: 'object' },
    });
  }, 120_000);
});
