/** Upscaler models by name. */
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findModels, upscalerFolders } from '../../../lib/hub/find-models.js';
import { modelFiles } from '../../../lib/hub/models-folder.js';
import { upscalerLabel, upscalerNamed } from '../../../lib/options/upscaler-names.js';
import { checkLoadOptions } from '../../../lib/pipelines/model/load-options.js';
import { UpscalerFolder, upscalerPath } from '../../../lib/pipelines/upscale/upscaler-folder.js';
import { writeNetwork } from '../../support/upscale/networks.js';
import { scratch } from '../../support/vqgan/autoencoders.js';

const models = scratch();
const network = writeNetwork(scratch(), 'compact');
const put = (file: string): string => {
  const path = join(models, file);
  mkdirSync(join(path, '..'), { recursive: true });
  copyFileSync(network, path);
  return path;
};
const FILES = {
  sharp: put('upscalers/4x-UltraSharp.pth'),
  dotted: put('upscalers/anime/2x.v1.safetensors'),
  swin: put('SwinIR/SwinIR_4x.pth'),
  plus: put('RealESRGAN/RealESRGAN_x4plus.pth'),
};
put('upscalers/notes.txt');
const folder = new UpscalerFolder(upscalerFolders.map((name) => join(models, name)));
const find = async (name: string) => (await folder.get(name)).path;

describe('a folder of upscalers', () => {
  it('finds models by their names in any case, also in subfolders and in folders named as in A1111', async () => {
    expect(await find('4x-UltraSharp')).toBe(FILES.sharp);
    expect(await find('4X-ultrasharp')).toBe(FILES.sharp);
    expect(await find('2x.v1')).toBe(FILES.dotted);
    expect(await find('anime/2x.v1')).toBe(FILES.dotted);
    expect(await find('swinir_4x')).toBe(FILES.swin);
  });

  it("finds well-known models by A1111's labels", async () => {
    expect(await find('R-ESRGAN 4x+')).toBe(FILES.plus);
    expect(await find('SwinIR 4x')).toBe(FILES.swin);
  });

  it('notices new and removed files', async () => {
    const late = put('upscalers/late.pth');
    expect(await find('late')).toBe(late);
    rmSync(late);
    await expect(folder.get('late')).rejects.toMatchObject({ code: 'ADAPTER_NOT_FOUND' });
  });

  it('suggests the nearest name', async () => {
    for (const [name, nearest] of [
      ['4x-UltraShrap', '4x-UltraSharp'],
      ['R-ESRGAN 4x', 'R-ESRGAN 4x+'],
      ['lanzcos', 'lanczos'],
    ])
      await expect(folder.get(name!)).rejects.toMatchObject({
        code: 'ADAPTER_NOT_FOUND',
        message: expect.stringContaining(`did you mean ${nearest}?`),
      });
    const missing = new UpscalerFolder(join(models, 'missing'));
    await expect(missing.get('a')).rejects.toMatchObject({
      code: 'ADAPTER_NOT_FOUND',
      message: expect.stringMatching(/cannot be read; create it/),
    });
  });

  it.each(['../outside', '/etc/passwd', 'upscalers/4x-UltraSharp', '..\\outside', '', '4x-UltraSharp\0'])(
    'has no model named %j',
    async (name) => {
      put('outside.pth');
      await expect(folder.get(name)).rejects.toMatchObject({ code: 'ADAPTER_NOT_FOUND' });
    },
  );

  it('takes precedence over a file in the working folder', async () => {
    expect(await upscalerPath('2x.v1', folder)).toBe(FILES.dotted);
    expect(await upscalerPath('other.pth', folder)).toBe('other.pth');
    expect(await upscalerPath('2x.v1', undefined)).toBe('2x.v1');
  });

  it('is not searched for models, but listed with them', async () => {
    expect((await findModels(models)).map(({ file }) => file)).toEqual(['outside.pth']);
    const names = (await modelFiles(models)).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['upscalers/4x-UltraSharp', 'SwinIR/SwinIR_4x', 'outside']));
    expect(new Set(names).size).toBe(names.length);
  });

  it('is one path or several', () => {
    expect(() => checkLoadOptions({ upscalerFolder: ['a', 'b'], loraFolder: 'c' })).not.toThrow();
    for (const options of [{ upscalerFolder: ['a', ''] }, { upscalerFolder: 1 }, { loraFolder: ['a'] }])
      expect(() => checkLoadOptions(options as never)).toThrow(/path of a file or folder/);
  });
});

describe("A1111's labels", () => {
  it.each([
    ['R-ESRGAN 4x+', 'RealESRGAN_x4plus'],
    ['R-ESRGAN 4x+ Anime6B', 'RealESRGAN_x4plus_anime_6B'],
    ['R-ESRGAN 2x+', 'RealESRGAN_x2plus'],
    ['R-ESRGAN General 4xV3', 'realesr-general-x4v3'],
    ['R-ESRGAN General WDN 4xV3', 'realesr-general-wdn-x4v3'],
    ['R-ESRGAN AnimeVideo', 'realesr-animevideov3'],
    ['ESRGAN_4x', 'ESRGAN'],
    ['DAT x3', 'DAT_x3'],
  ])('%s is the file %s', (label, name) => {
    expect(upscalerLabel(name)).toBe(label);
    expect(upscalerNamed([{ name: 'other' }, { name }], label)).toEqual({ name });
  });

  it('of other models are their names', () => {
    expect(upscalerLabel('4x-UltraSharp')).toBe('4x-UltraSharp');
    expect(upscalerNamed([{ name: '4x-UltraSharp' }], '4x-ultrasharp')).toBeDefined();
    expect(upscalerNamed([{ name: '4x-UltraSharp' }], '4x')).toBeUndefined();
  });
});
