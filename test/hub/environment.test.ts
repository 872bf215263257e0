import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { cacheFolder, dataFolder, modelsFolder } from '../../lib/hub/environment.js';

const system = process.platform;
const pretend = (platform: NodeJS.Platform): void => {
  Object.defineProperty(process, 'platform', { value: platform });
};
afterEach(() => pretend(system));

describe('the folders of data and models', () => {
  it('are in %LOCALAPPDATA% on Windows, where HOME is ignored', () => {
    pretend('win32');
    const env = { LOCALAPPDATA: '/local', USERPROFILE: '/users/ada', HOME: '/other' };
    expect(dataFolder(env)).toBe(join('/local', 'safelight'));
    expect(modelsFolder(env)).toBe(join('/local', 'safelight', 'models'));
    expect(dataFolder({ USERPROFILE: '/users/ada' })).toBe(join('/users/ada/AppData/Local/safelight'));
    expect(dataFolder({ ...env, XDG_DATA_HOME: '/data' })).toBe(join('/data', 'safelight'));
  });

  it("keep Hugging Face's cache where huggingface_hub has it on Windows", () => {
    pretend('win32');
    const env = { LOCALAPPDATA: '/local', USERPROFILE: '/users/ada', HOME: '/other' };
    expect(cacheFolder(env)).toBe(join('/users/ada/.cache/huggingface/hub'));
    expect(cacheFolder({ ...env, HF_HUB_CACHE: '%LOCALAPPDATA%/hub' })).toBe('/local/hub');
  });

  it('follow XDG and HOME on other systems', () => {
    pretend('linux');
    const env = { LOCALAPPDATA: '/local', USERPROFILE: '/users/ada', HOME: '/home/ada' };
    expect(dataFolder(env)).toBe('/home/ada/.local/share/safelight');
    expect(cacheFolder(env)).toBe('/home/ada/.cache/huggingface/hub');
    expect(modelsFolder({ ...env, SAFELIGHT_MODELS: '%LOCALAPPDATA%' })).toBe('%LOCALAPPDATA%');
  });
});
