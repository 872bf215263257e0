/** Selection of a device and fallback when it fails, through the command line with the test device. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import type { BackendInfo } from '../../lib/binding/types.js';
import { MAIN } from '../support/cli.js';

const BINARIES = fileURLToPath(new URL('../../build/test-device', import.meta.url));
const without = existsSync(`${BINARIES}/safelight-vulkan.node`)
  ? undefined
  : 'the test device is built on Linux only';

const folder = mkdtempSync(join(tmpdir(), 'safelight-choosing-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function run(args: readonly string[], variables: Readonly<Record<string, string>> = {}) {
  const env = { ...process.env, SAFELIGHT_GPU_BINARIES: BINARIES, ...variables };
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data: Buffer) => {
    stdout += data.toString();
  });
  child.stderr.on('data', (data: Buffer) => {
    stderr += data.toString();
  });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { stdout, stderr, code };
}

const draw = ['generate', 'red apple', '--steps', '1', '--seed', '1', '--json', '--threads', '1'];
const listed = async (variables?: Readonly<Record<string, string>>): Promise<readonly BackendInfo[]> =>
  JSON.parse((await run(['backends', '--json'], variables)).stdout) as BackendInfo[];

describe.skipIf(without)(`choosing a device${without ? `: ${without}` : ''}`, () => {
  it('lists every device with its name, type and memory, and whether it opens', async () => {
    const found = await listed({
      SAFELIGHT_TEST_DEVICES: '3',
      SAFELIGHT_TEST_DEVICE_ABORTS: '0',
      SAFELIGHT_TEST_DEVICE_REFUSES: '2',
    });
    expect(found.map(({ name, device, opens }) => [name, device, opens])).toEqual([
      ['cpu', 'CPU', true],
      ['vulkan', 'Test0', false],
      ['vulkan', 'Test1', true],
      ['vulkan', 'Test2', false],
    ]);
    expect(found[1]!.problem).toMatch(/ended the process .*SIGABRT/);
    expect(found[2]).toMatchObject({ type: 'gpu', memory: { total: 2 ** 34 } });
    expect(found[3]!.problem).toMatch(/cannot be opened/);
    const { stdout } = await run(['backends'], { SAFELIGHT_TEST_DEVICE_REFUSES: '0' });
    expect(stdout).toMatch(/Test0\s+gpu\s+.*no /);
  });

  it('computes on the requested device, by index or name', async () => {
    for (const which of ['vulkan', 'vulkan:1', 'vulkan:Test1', 'vulkan:the CPU']) {
      const { code, stdout, stderr } = await run([...draw, '--backend', which], {
        SAFELIGHT_TEST_DEVICES: '2',
      });
      expect([code, stderr]).toEqual([0, expect.not.stringContaining('warning')]);
      expect(JSON.parse(stdout)).toMatchObject({ warnings: [], images: [{ width: 128 }] });
    }
  });

  it.each([
    ['that fails to open', { SAFELIGHT_TEST_DEVICE_REFUSES: '0' }, 'vulkan', /Test0 .*cannot be used/],
    [
      'that crashes the process',
      { SAFELIGHT_TEST_DEVICE_ABORTS: '0' },
      'vulkan',
      /Test0 .*cannot be used.*SIGABRT/,
    ],
    ['that does not exist', {}, 'vulkan:7', /no device "7"; there are: 0 Test0/],
    ['of a backend that is not installed', {}, 'cuda', /cuda is not installed.*npx safelight build --cuda/],
  ])('rejects a device %s by name, in one sentence', async (_, variables, backend, message) => {
    const { code, stderr } = await run([...draw, '--quiet', '--backend', backend], variables);
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  it.each([
    ['fails to open', { SAFELIGHT_TEST_DEVICE_REFUSES: '0' }],
    ['crashes the process', { SAFELIGHT_TEST_DEVICE_ABORTS: '0' }],
  ])('falls back to the CPU with a warning if the only GPU %s', async (_, variables) => {
    const { code, stdout } = await run(draw, variables);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      warnings: [
        { code: 'BACKEND_FALLBACK', message: expect.stringContaining('the CPU as a device, for tests') },
      ],
    });
  });

  it('uses the next GPU if the first fails', async () => {
    const { stdout } = await run(draw, { SAFELIGHT_TEST_DEVICES: '2', SAFELIGHT_TEST_DEVICE_ABORTS: '0' });
    expect(JSON.parse(stdout)).toMatchObject({ warnings: [] });
  });

  it('works on the CPU if the GPU addon does not load, and reports the reason on request', async () => {
    const broken = mkdtempSync(join(folder, 'broken-'));
    writeFileSync(join(broken, 'safelight-vulkan.node'), 'no library');
    const variables = { SAFELIGHT_GPU_BINARIES: broken };
    expect(await listed(variables)).toMatchObject([
      { name: 'cpu', opens: true },
      { name: 'vulkan', opens: false, problem: expect.stringContaining('safelight-vulkan.node') },
    ]);
    const { code, stderr } = await run([...draw, '--backend', 'vulkan'], variables);
    expect([code, stderr]).toEqual([1, expect.stringContaining('does not load here')]);
    expect((await run(draw, variables)).code).toBe(0);
  });

  it('exits at Ctrl-C while a driver cannot be stopped', async () => {
    const env = { ...process.env, SAFELIGHT_GPU_BINARIES: BINARIES, SAFELIGHT_TEST_DEVICE_WAITS: '20000' };
    const args = [MAIN, 'generate', 'red apple', '--backend', 'vulkan'];
    const child = spawn(process.execPath, args, { cwd: folder, env, stdio: ['ignore', 'ignore', 'pipe'] });
    await new Promise<void>((resolve) =>
      child.stderr.on('data', (data: Buffer) => data.toString().includes('Encoding') && resolve()),
    );
    await new Promise((resolve) => setTimeout(resolve, 200));
    const start = performance.now();
    child.kill('SIGINT');
    expect(await new Promise((resolve) => child.on('exit', resolve))).toBe(130);
    expect(performance.now() - start).toBeLessThan(3000);
  });

  it('rejects unknown backend names as a usage error', async () => {
    for (const wrong of ['gpu', 'vulkan:', 'cpu:1'])
      expect(await run([...draw, '--backend', wrong])).toMatchObject({
        code: 2,
        stderr: expect.stringContaining('vulkan:1 or cuda:NAME'),
      });
  });
});
