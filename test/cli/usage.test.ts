import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { run } from '../support/cli.js';

describe('safelight', () => {
  it('prints its version', async () => {
    const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    expect(await run(['--version'])).toEqual({ code: 0, stdout: `${manifest.version}\n`, stderr: '' });
  });

  it.each([
    ...['generate', 'tokenize', 'encode', 'decode', 'inspect', 'backends', 'build'],
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
    [[], 'which command?'],
    [['paint'], "unknown command 'paint'"],
    [['generate'], "missing required argument 'prompt'"],
    [['generate', 'a', 'red', 'apple'], 'too many arguments'],
    [['generate', 'a', '--colour'], "unknown option '--colour'"],
    [['generate', 'a', '--steps'], 'argument missing'],
    [['generate', 'a', '--steps', '12abc'], "--steps takes a whole number between 1 and 1000, not '12abc'"],
    [['generate', 'a', '--steps', 'NaN'], '--steps takes a whole number'],
    [['generate', 'a', '--steps', '0'], '--steps takes a whole number'],
    [['generate', 'a', '--steps', '2.5'], '--steps takes a whole number'],
    [['generate', 'a', '--width', '-64'], '--width takes a whole number between 1 and 16384'],
    [['generate', 'a', '--width', ''], '--width takes a whole number'],
    [['generate', 'a', '--width', '0x40'], '--width takes a whole number'],
    [['generate', 'a', '--width', '4294967296'], '--width takes a whole number'],
    [
      ['generate', 'a', '--seed', '-2'],
      "--seed takes a whole number of at least 0, or -1 for a random one, not '-2'",
    ],
    [
      ['generate', 'a', '--subseed=-5'],
      '--subseed takes a whole number of at least 0, or -1 for a random one',
    ],
    [['sample', '--seed', '-2'], '--seed takes a whole number of at least 0, or -1 for a random one'],
    [['encode', 'a.png', '-o', 'a.npy', '-s', '-3'], '--seed takes a whole number of at least 0, or -1'],
    [['generate', 'a', '--seed', '1e999'], '--seed takes a whole number'],
    [['generate', 'a', '--cfg', 'Infinity'], '--cfg takes a number between 0 and 100'],
    [['generate', 'a', '--cfg', '7,5'], '--cfg takes a number'],
    [['generate', 'a', '--strength', '1.5'], '--strength takes a number between 0 and 1'],
    [['generate', 'a', '--count', '0'], '--count takes a whole number'],
    [['generate', 'a', '--rng', 'gpu'], 'Allowed choices are cpu, cuda'],
    [
      ['generate', 'a', '--backend', 'tpu'],
      '--backend takes auto, cpu, cuda, metal or vulkan, or a device of one',
    ],
    [['generate', 'a', '--backend', 'CUDA'], 'did you mean cuda?'],
    [['generate', 'a', '--storage', 'q2_K'], 'Allowed choices are f32, f16, bf16, q8_0, q6_K'],
    [['generate', 'a', '--prediction', 'noise'], 'Allowed choices are eps, v, x0'],
    [['generate', 'a', '--width', '16384', '--height', '16384'], 'pixels'],
    [['generate', 'a', '--guidance-interval', '3'], '--guidance-interval takes two numbers as LOW,HIGH'],
    [['generate', 'a', '--guidance-interval', '9,3'], 'guidanceInterval'],
    [['generate', 'a', '--sampler', 'magic'], 'sampler'],
    [['generate', 'a', '--schedule', 'magic'], 'schedule'],
    [['generate', 'a', '--output', 'apple.bmp'], '--output ends in .png, .jpg or .webp'],
    [['generate', 'a', '--mask', 'mask.png'], 'init'],
    [['encode', 'a.png'], "required option '-o, --output"],
    [['encode', 'a.png', '--output', 'a.npy', '--seed', '3'], '--seed is for --posterior sample'],
    [['build', '--cuda', '--vulkan'], 'choose one of --cuda and --vulkan'],
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
    [['generate', 'a', '--init', 'nowhere.png'], "There is no picture at 'nowhere.png'"],
    [['generate', 'a', '--output', 'nowhere/apple.png'], "the folder 'nowhere' does not exist"],
    [['generate', 'a', '--output', '.'], 'it is a folder'],
    [['encode', 'nowhere.png', '--output', 'a.npy'], "There is no picture at 'nowhere.png'"],
    [['decode', 'nowhere.npy'], "There is no latent at 'nowhere.npy'"],
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
