/** Outputs that are not regular files: stdout, FIFOs, devices and links. */
import { execFile, spawn } from 'node:child_process';
import { lstat, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Tensor } from '../../lib/tensor/tensor.js';
import { MAIN, run, workFolder } from '../support/cli.js';
import { makeFifo, makeNullDevice, withoutDevices, withoutFifos } from '../support/special-files.js';

const draw = ['generate', 'red apple', '--steps', '1', '--seed', '1', '--quiet'];

let work: ReturnType<typeof workFolder>;
beforeEach(() => {
  work = workFolder();
});
afterEach(() => work.remove());

/** Runs a command in a shell, so that redirections are real. */
async function shell(command: string): Promise<{ stdout: Buffer; stderr: string; code: number }> {
  const child = spawn('sh', ['-c', command], { cwd: work.path, stdio: ['ignore', 'pipe', 'pipe'] });
  const chunks: Buffer[] = [];
  let stderr = '';
  child.stdout.on('data', (data: Buffer) => chunks.push(data));
  child.stderr.on('data', (data: Buffer) => {
    stderr += data.toString();
  });
  const code = await new Promise<number>((resolve) => child.on('close', (status) => resolve(status ?? -1)));
  return { stdout: Buffer.concat(chunks), stderr, code };
}
const safelight = (args: readonly string[]): string =>
  [process.execPath, MAIN, ...args].map((arg) => `'${arg}'`).join(' ');

const format = async (image: Uint8Array) => (await sharp(image).metadata()).format;

describe.skipIf(process.platform === 'win32')('outputs', () => {
  it.each(['-', '/dev/stdout'])(
    'writes only the image to stdout for %s and reports to stderr',
    async (output) => {
      const { stdout, stderr, code } = await shell(`${safelight([...draw, '--output', output])} | cat`);
      expect(code).toBe(0);
      expect(await format(stdout)).toBe('png');
      expect(stderr).toContain('128x128');
      expect(await readdir(work.path)).toEqual([]);
    },
  );

  it('keeps the file that stdout is redirected to for /dev/stdout', async () => {
    await shell(`${safelight([...draw, '--output', '/dev/stdout'])} > image.png`);
    expect(await format(await readFile(work.file('image.png')))).toBe('png');
    expect(await readdir(work.path)).toEqual(['image.png']);
  });

  it('writes a latent, code indices and a converted model to stdout', async () => {
    await sharp({ create: { width: 64, height: 64, channels: 3, background: 'red' } })
      .png()
      .toFile(work.file('red.png'));
    const latent = await shell(`${safelight(['encode', 'red.png', '--quiet', '--output', '-'])} | cat`);
    expect(Tensor.fromNpy(latent.stdout).shape).toEqual([1, 4, 8, 8]);
    const codes = await shell(`${safelight(['codes', 'red.png', '--quiet', '--output', '-'])} | cat`);
    expect(JSON.parse(codes.stdout.toString())).toHaveProperty('usage');
    const model = await shell(
      `${safelight(['convert', `${MAIN}/../../../models/starter`, '-', '--quiet'])} | head -c 4`,
    );
    expect(model.stdout.toString()).toBe('GGUF');
  });

  it('rejects --json with an output to stdout as a usage error', async () => {
    const { code, stderr } = await run([...draw, '--json', '--output', '-'], work.path);
    expect([code, stderr]).toEqual([2, expect.stringContaining('--json')]);
  });

  it('reports a full disk behind stdout as one sentence', async () => {
    const { code, stderr } = await shell(`${safelight(['generate', '--help'])} > /dev/full`);
    expect(code).not.toBe(0);
    expect(stderr).not.toContain('at ');
  });

  it.skipIf(withoutFifos)(
    `writes every image through a FIFO${withoutFifos ? `: ${withoutFifos}` : ''}`,
    async () => {
      makeFifo(work.file('fifo'));
      const reading = promisify(execFile)('cat', [work.file('fifo')], { encoding: 'buffer' });
      const { code } = await run([...draw, '--count', '2', '--output', 'fifo'], work.path);
      expect(code).toBe(0);
      const { stdout } = await reading;
      expect(stdout.toString('latin1').split('IHDR')).toHaveLength(3);
      expect((await lstat(work.file('fifo'))).isFIFO()).toBe(true);
      expect(await readdir(work.path)).toEqual(['fifo']);
    },
  );

  it.skipIf(withoutDevices)(
    `leaves a device in its place${withoutDevices ? `: ${withoutDevices}` : ''}`,
    async () => {
      makeNullDevice(work.file('null'));
      const { code } = await run([...draw, '--count', '2', '--output', 'null'], work.path);
      expect(code).toBe(0);
      expect((await lstat(work.file('null'))).isCharacterDevice()).toBe(true);
      expect(await readdir(work.path)).toEqual(['null']);
    },
  );

  it('follows a link and keeps it', async () => {
    await writeFile(work.file('target'), 'old');
    await symlink('target', work.file('link.webp'));
    const { code } = await run([...draw, '--output', 'link.webp'], work.path);
    expect(code).toBe(0);
    expect((await lstat(work.file('link.webp'))).isSymbolicLink()).toBe(true);
    expect(await format(await readFile(work.file('target')))).toBe('webp');
  });
});
