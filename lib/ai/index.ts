/**
 * Safelight as a provider of the AI SDK (https://ai-sdk.dev), in this process:
 *
 *     import { generateImage } from 'ai';
 *     import { safelight } from 'safelight/ai';
 *     const { image } = await generateImage({ model: safelight.image('starter'), prompt: 'a red apple' });
 *
 * Of the AI SDK only types are used here, so that any version of it (and Node 20) can load this module.
 */

export type { SafelightImageModel, SafelightImageOptions } from './image-model.js';
export {
  createSafelight,
  type SafelightProvider,
  type SafelightProviderSettings,
  safelight,
} from './provider.js';
