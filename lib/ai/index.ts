/**
 * Safelight as a provider of the AI SDK (https://ai-sdk.dev), in this process:
 *
 *     import { generateImage } from 'ai';
 *     import { safelight } from 'safelight/ai';
 *     const { image } = await generateImage({ model: safelight.image('starter'), prompt: 'a red apple' });
 *
 * AI SDK 6 (which `npm install ai` chooses on Node 20) and 7 are supported. Nothing of the SDK is imported, so that this module loads without it.
 *
 * @module safelight/ai
 */

export type { SafelightImageModel, SafelightImageOptions } from './image-model.js';
export {
  createSafelight,
  type SafelightProvider,
  type SafelightProviderSettings,
  safelight,
} from './provider.js';
