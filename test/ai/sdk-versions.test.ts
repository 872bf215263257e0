/** `safelight/ai` under both supported AI SDKs: 7, and 6, which npm installs for Node older than 22. */
import * as ai7 from 'ai';
import * as ai6 from 'ai-v6';
import sharp from 'sharp';
import { afterAll, afterEach, describe, expect, expectTypeOf, it, vi } from 'vitest';
import { createSafelight, type SafelightImageModel, type SafelightProvider } from '../../lib/ai/index.js';

const safelight = createSafelight({ threads: 1 });
afterAll(() => safelight.dispose());
afterEach(() => vi.restoreAllMocks());
const providerOptions = { safelight: { steps: 2 } };
const request = { prompt: 'a red apple', size: '64x64', seed: 7, providerOptions } as const;

it('is typed as a model and a provider of both versions', () => {
  expectTypeOf<SafelightImageModel>().toExtend<ai7.ImageModel>();
  expectTypeOf<SafelightImageModel>().toExtend<ai6.ImageModel>();
  expectTypeOf<{ s: SafelightProvider }>().toExtend<Parameters<typeof ai7.createProviderRegistry>[0]>();
  expectTypeOf<{ s: SafelightProvider }>().toExtend<Parameters<typeof ai6.createProviderRegistry>[0]>();
});

const versions = [
  {
    name: 'AI SDK 6',
    draw: async () => ai6.generateImage({ ...request, model: safelight.image('starter') }),
    drawFromRegistry: async () => {
      const registry = ai6.createProviderRegistry({ local: safelight });
      return ai6.generateImage({ ...request, model: registry.imageModel('local:starter') });
    },
    drawFromCustomProvider: async () => {
      const provider = ai6.customProvider({ imageModels: { apple: safelight.image('starter') } });
      return ai6.generateImage({ ...request, model: provider.imageModel('apple') });
    },
    edit: async (images: Buffer[]) =>
      ai6.generateImage({
        model: safelight.image('starter'),
        prompt: { text: 'an apple', images },
        providerOptions: { safelight: { steps: 2, strength: 0.1 } },
      }),
  },
  {
    name: 'AI SDK 7',
    draw: async () => ai7.generateImage({ ...request, model: safelight.image('starter') }),
    drawFromRegistry: async () => {
      const registry = ai7.createProviderRegistry({ local: safelight });
      return ai7.generateImage({ ...request, model: registry.imageModel('local:starter') });
    },
    drawFromCustomProvider: async () => {
      const provider = ai7.customProvider({ imageModels: { apple: safelight.image('starter') } });
      return ai7.generateImage({ ...request, model: provider.imageModel('apple') });
    },
    edit: async (images: Buffer[]) =>
      ai7.generateImage({
        model: safelight.image('starter'),
        prompt: { text: 'an apple', images },
        providerOptions: { safelight: { steps: 2, strength: 0.1 } },
      }),
  },
];

describe.each(versions)('$name', (version) => {
  it('generates an image without a warning or console output', async () => {
    const spies = (['log', 'info', 'warn', 'error'] as const).map((method) => vi.spyOn(console, method));
    const { image, warnings, providerMetadata, responses } = await version.draw();
    expect(image.mediaType).toBe('image/png');
    expect(await sharp(image.uint8Array).metadata()).toMatchObject({ width: 64, height: 64 });
    expect(warnings).toEqual([]);
    expect(providerMetadata.safelight?.images).toMatchObject([{ seed: 7, width: 64, height: 64 }]);
    expect(responses[0]?.modelId).toBe('starter');
    for (const spy of spies) expect(spy).not.toHaveBeenCalled();
  });

  it('generates the same image through a provider registry and a custom provider', async () => {
    const [direct, registry, custom] = await Promise.all([
      version.draw(),
      version.drawFromRegistry(),
      version.drawFromCustomProvider(),
    ]);
    expect(registry.image.base64).toBe(direct.image.base64);
    expect(custom.image.base64).toBe(direct.image.base64);
  });

  it('passes the first image of the prompt to image-to-image', async () => {
    const blue = { width: 64, height: 64, channels: 3, background: '#2060a0' } as const;
    const { image } = await version.edit([await sharp({ create: blue }).png().toBuffer()]);
    const { channels } = await sharp(image.uint8Array).stats();
    const [red = 0, , bluest = 0] = channels.map(({ mean }) => mean);
    expect(bluest).toBeGreaterThan(red + 40);
  });
});

it('generates the same image under both versions', async () => {
  const [six, seven] = await Promise.all(versions.map(({ draw }) => draw()));
  expect(seven?.image.base64).toBe(six?.image.base64);
});
