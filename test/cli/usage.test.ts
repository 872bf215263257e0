import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { run as runProcess, startSession } from '../support/cli.js';

const { run, end } = startSession();
afterAll(end);

describe('safelight', () => {
  it('prints its version', async () => {
    const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    expect(await runProcess(['--version'])).toEqual({ code: 0, stdout: `${manifest.version}\n`, stderr: '' });
  });

  it.each([
    ...['generate', 'tokenize', 'encode', 'decode', 'inspect', 'backends', 'doctor', 'build'],
    ...['reconstruct', 'codes', 'sample', 'sketch', 'score'],
  ])('prints help for %s', async (command) => {
    const { code, stdout } = await run([command, '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: safelight ${command}`);
  });

  it('lists samplers and schedules in the help of generate', async () => {
    const { stdout } = await run(['generate', '--help']);
    for (const name of ['dpmpp_2m_sde', 'dpm_adaptive', 'align_your_steps', 'kl_optimal'])
      expect(stdout).toContain(name);
  });

  it.each([
    [[], 'missing command'],
    [['paint'], "unknown command 'paint'"],
    [['generate'], "missing required argument 'prompt'"],
    [['generate', 'a', 'red', 'apple'], 'too many arguments'],
    [['generate', 'a', '--colour'], "unknown option '--colour'"],
    [['generate', 'a', '--steps'], 'argument missing'],
    [
      ['generate', 'a', '--steps', '12abc'],
      "Expected --steps to be an integer between 1 and 1000, received '12abc'",
    ],
    [['generate', 'a', '--steps', 'NaN'], 'Expected --steps to be an integer'],
    [['generate', 'a', '--steps', '0'], 'Expected --steps to be an integer'],
    [['generate', 'a', '--steps', '2.5'], 'Expected --steps to be an integer'],
    [['generate', 'a', '--width', '-64'], 'Expected --width to be an integer between 1 and 16384'],
    [['generate', 'a', '--width', ''], 'Expected --width to be an integer'],
    [['generate', 'a', '--width', '0x40'], 'Expected --width to be an integer'],
    [['generate', 'a', '--width', '4294967296'], 'Expected --width to be an integer'],
    [
      ['generate', 'a', '--seed', '-2'],
      "Expected --seed to be an integer of at least 0, or -1 for a random seed, received '-2'",
    ],
    [
      ['generate', 'a', '--subseed=-5'],
      'Expected --subseed to be an integer of at least 0, or -1 for a random seed',
    ],
    [['sample', '--seed', '-2'], 'Expected --seed to be an integer of at least 0, or -1 for a random seed'],
    [['encode', 'a.png', '-o', 'a.npy', '-s', '-3'], 'Expected --seed to be an integer of at least 0, or -1'],
    [['generate', 'a', '--seed', '1e999'], 'Expected --seed to be an integer'],
    [['generate', 'a', '--cfg', 'Infinity'], 'Expected --cfg to be a number between 0 and 100'],
    [['generate', 'a', '--cfg', '7,5'], 'Expected --cfg to be a number'],
    [['generate', 'a', '--strength', '1.5'], 'Expected --strength to be a number between 0 and 1'],
    [['generate', 'a', '--count', '0'], 'Expected --count to be an integer'],
    [['generate', 'a', '--rng', 'gpu'], 'Allowed choices are cpu, cuda'],
    [
      ['generate', 'a', '--backend', 'tpu'],
      'Expected --backend to be auto, cpu, cuda, metal or vulkan, or a device such as',
    ],
    [['generate', 'a', '--backend', 'CUDA'], 'did you mean cuda?'],
    [['generate', 'a', '--storage', 'q2_K'], 'Allowed choices are f32, f16, bf16, q8_0, q6_K'],
    [['generate', 'a', '--prediction', 'noise'], 'Allowed choices are eps, v, x0'],
    [['generate', 'a', '--width', '16384', '--height', '16384'], 'pixels'],
    [
      ['generate', 'a', '--guidance-interval', '3'],
      'Expected --guidance-interval to be two numbers as LOW,HIGH',
    ],
    [['generate', 'a', '--guidance-interval', '9,3'], 'guidanceInterval'],
    [['generate', 'a', '--sampler', 'magic'], 'sampler'],
    [['generate', 'a', '--schedule', 'magic'], 'schedule'],
    [['generate', 'a', '--output', 'apple.bmp'], 'Expected --output to end in .png, .jpg or .webp'],
    [['generate', 'a', '--mask', 'mask.png'], 'init'],
    [['encode', 'a.png'], "required option '-o, --output"],
    [['encode', 'a.png', '--output', 'a.npy', '--seed', '3'], '--seed requires --posterior sample'],
    [['build', '--cuda', '--vulkan'], 'choose only one of --cuda and --vulkan'],
  ])('rejects %j as a usage error', async (args, sentence) => {
    const { code, stdout, stderr } = await run(args);
    expect(stderr).toContain(sentence);
    expect(stderr.trimEnd().split('\n').at(-1)).toMatch(/^safelight: \S/);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });

  it.each([
    [['generate', 'a', '--model', 'nowhere'], 'nowhere'],
    [['generate', 'a', '--init', 'nowhere.png'], "No image exists at 'nowhere.png'"],
    [['generate', 'a', '--output', 'nowhere/apple.png'], "the folder 'nowhere' does not exist"],
    [['generate', 'a', '--output', '.'], 'it is a folder'],
    [['encode', 'nowhere.png', '--output', 'a.npy'], "No image exists at 'nowhere.png'"],
    [['decode', 'nowhere.npy'], "No latent exists at 'nowhere.npy'"],
    [['inspect', 'nowhere'], 'nowhere'],
    [['tokenize', 'a', '--model', 'nowhere'], 'nowhere'],
  ])('fails for %j in one sentence', async (args, sentence) => {
    const { code, stdout, stderr } = await run(args);
    expect(stderr).toContain(sentence);
    expect(stderr).toMatch(/^safelight: [^\n]+\n$/);
    expect(stdout).toBe('');
    expect(code).toBe(1);
  });

  it('prints a stack trace only on request', async () => {
    const { code, stderr } = await run(['tokenize', 'a', '--model', 'nowhere', '--verbose']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^\s+at /m);
  });
});
