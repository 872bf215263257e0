/**
 * Safelight as a provider of the AI SDK (https://ai-sdk.dev), running in this process:
 *
 * import { generateImage } from 'ai'; import { safelight } from 'safelight/ai'; const { image } = await
 * generateImage({ model: safelight.image('starter'), prompt: 'a red apple' });
 *
 * AI SDK 6 (which `npm install ai` installs on Node 20) and 7 are supported. This module does not import the SDK,
 * so it loads without it.
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
