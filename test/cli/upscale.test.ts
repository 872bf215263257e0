import { copyFileSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, extname } from 'node:path';
import sharp from 'sharp';
import { afterAll, describe, expect, it } from 'vitest';
import { start, startSession, workFolder } from '../support/cli.js';
import { testImage } from '../support/upscale/images.js';
import { writeNetwork } from '../support/upscale/networks.js';

const folder = workFolder();
const { run, end } = startSession();
afterAll(end);
afterAll(folder.remove);

const model = writeNetwork(folder.path, 'compact');
const image = folder.file('drawing.png');
const source = testImage(40, 24, 4);
writeFileSync(
  image,
  await sharp(source.data, { raw: { width: 40, height: 24, channels: 4 } })
    .png()
    .toBuffer(),
);

const size = async (file: string) => {
  const { width, height, format, hasAlpha } = await sharp(file).metadata();
  return { width, height, format, hasAlpha };
};

describe('safelight upscale', () => {
  it('writes the upscaled image with its alpha and replaces a named output', async () => {
    const output = folder.file('large.png');
    for (let round = 0; round < 2; round++) {
      const { code, stdout } = await run(['upscale', image, '--model', model, '--output', output]);
      expect(code).toBe(0);
      expect(stdout).toContain(`${output}  160x96, Real-ESRGAN Compact x4`);
    }
    expect(await size(output)).toEqual({ width: 160, height: 96, format: 'png', hasAlpha: true });
    expect(existsSync(folder.file('large-2.png'))).toBe(false);
  });

  it('names a new file after the image without --output', async () => {
    copyFileSync(model, folder.file('model.safetensors'));
    for (let round = 0; round < 2; round++)
      expect((await run(['upscale', image, '-m', 'model.safetensors'], folder.path)).code).toBe(0);
    const files = readdirSync(folder.path).filter((name) => name.includes('-upscaled'));
    expect(files.sort()).toEqual(['drawing-upscaled-2.png', 'drawing-upscaled.png']);
  });

  it('resizes to another scale, and prints JSON', async () => {
    const output = folder.file('small.jpg');
    const { code, stdout } = await run([
      ...[
        'upscale',
        image,
        '--model',
        model,
        '--output',
        output,
        '--scale',
        '1.5',
        '--json',
        '--threads',
        '1',
      ],
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      images: [{ file: output, width: 60, height: 36 }],
      model: { path: model, architecture: 'Real-ESRGAN Compact', scale: 4, channels: 3, receptiveField: 9 },
      seconds: expect.any(Number),
      warnings: [],
    });
    expect(await size(output)).toMatchObject({ width: 60, height: 36, format: 'jpeg' });
  });

  it('reports tiles as progress', async () => {
    const output = folder.file('tiled.webp');
    const args = ['upscale', image, '--model', model, '--output', output, '--tile', '26', '--overlap', '9'];
    const { code, stderr } = await run(args);
    expect(code).toBe(0);
    // Two columns and one row of tiles, for the colors and for alpha.
    expect(stderr).toContain('Upscaling tile 4/4');
    expect((await run([...args, '--quiet'])).stderr).toBe('');
  });

  it.each([
    [['--model', 'none.pth'], 1, /none\.pth/],
    [[], 2, /--model/],
    [['--model', model, '--scale', '0'], 2, /--scale/],
    [['--model', model, '--tile', 'x'], 2, /--tile/],
    [['--model', model, '--tile', '20', '--overlap', '20'], 2, /overlap/],
    [['--model', model, '--output', 'image.bmp'], 2, /\.bmp/],
  ] as const)('fails for %s', async (args, code, message) => {
    const result = await run(['upscale', image, ...args], folder.path);
    expect(result).toMatchObject({ code, stderr: expect.stringMatching(message), stdout: '' });
  });

  it('stops at Ctrl-C without writing the output', async () => {
    const large = folder.file('large-source.png');
    const { data } = testImage(1200, 1200);
    writeFileSync(
      large,
      await sharp(data, { raw: { width: 1200, height: 1200, channels: 3 } })
        .png()
        .toBuffer(),
    );
    const output = folder.file('never.png');
    const slow = writeNetwork(folder.path, 'esrgan');
    const running = start(['upscale', large, '--model', slow, '--output', output]);
    await running.stderrHas(/Upscaling/);
    running.child.kill('SIGINT');
    expect(await running.result).toMatchObject({ code: 130 });
    expect(existsSync(output)).toBe(false);
  });
});

describe('safelight inspect', () => {
  it('describes an upscaler', async () => {
    const { code, stdout } = await run(['inspect', model]);
    expect(code).toBe(0);
    expect(stdout).toContain('Real-ESRGAN Compact x4 for RGB images');
    expect(stdout).not.toContain('Cannot be run');
    const json = await run(['inspect', '--json', writeNetwork(folder.path, 'esrgan-x2')]);
    expect(JSON.parse(json.stdout)).toMatchObject({
      form: 'upscaler',
      problem: null,
      upscaler: {
        kind: 'rrdb_net',
        architecture: 'ESRGAN',
        scale: 2,
        dialect: 'Real-ESRGAN',
        config: { unshuffle: 2 },
      },
    });
  });
});

describe('safelight generate --hires-upscaler', () => {
  const second = [
    '--width',
    '32',
    '--height',
    '32',
    '--steps',
    '2',
    '--hires-scale',
    '2',
    '--hires-upscaler',
  ];
  const generated = (upscaler: string, output: string, ...more: string[]) =>
    run(['generate', 'an apple', ...second, upscaler, '--seed', '1', '--output', output, ...more]);

  it('enlarges the image with a model', async () => {
    const [output, other] = ['model.png', 'lanczos.png'].map(folder.file) as [string, string];
    expect((await generated(model, output)).code).toBe(0);
    expect((await generated('lanczos', other)).code).toBe(0);
    expect(await size(output)).toMatchObject({ width: 64, height: 64 });
    const [a, b] = await Promise.all([output, other].map((file) => sharp(file).raw().toBuffer()));
    expect(a).not.toEqual(b);
  });

  it('finds the model in the folder of upscalers by its name', async () => {
    const [output, byPath] = ['named.png', 'model.png'].map(folder.file) as [string, string];
    const name = basename(model, extname(model)).toUpperCase();
    expect((await generated(name, output, '--upscalers', dirname(model))).code).toBe(0);
    const [a, b] = await Promise.all([output, byPath].map((file) => sharp(file).raw().toBuffer()));
    expect(a).toEqual(b);
    const unknown = await generated(`${name}x`, output, '--upscalers', dirname(model));
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('did you mean') });
    expect(unknown.stderr).not.toContain('Loading');
    const missing = await generated(name, output, '--upscalers', folder.file('nowhere'));
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining('--upscalers') });
    const alone = folder.file('alone.png');
    const { code } = await run(['upscale', byPath, '-m', name, '--upscalers', dirname(model), '-o', alone]);
    expect([code, existsSync(alone)]).toEqual([0, true]);
  });

  it('rejects unknown names and other files before the model is loaded', async () => {
    const output = folder.file('none.png');
    const unknown = await generated('latnet', output);
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('did you mean latent?') });
    const missing = await generated('missing.pth', output);
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining("'missing.pth'") });
    expect(missing.stderr).not.toContain('Loading');
    expect(existsSync(output)).toBe(false);
  });
});
