/** Texts with the options of an image, stored in the image file. */

import type { ModelFacts } from '../families/shared/loaded-model.js';
import { formatExact } from '../options/exact.js';
import { formatInfotext } from '../options/infotext/write.js';
import { type HashFields, withLoraTags } from './diffusion/prompts/adapter-hashes.js';
import type { Settings } from './options.js';

interface Size {
  readonly width: number;
  readonly height: number;
}
interface ImageSeeds {
  readonly seed: number;
  readonly subseed: number;
}

/** Returns A1111's generation parameters of an image. */
export function parametersOf(
  facts: ModelFacts,
  settings: Settings,
  size: Size,
  seeds: ImageSeeds,
  hashes: HashFields = {},
): string {
  return formatInfotext(facts.name, optionsOf(settings, size, seeds), settings.unwritten, hashes);
}

/** Returns Safelight's exact options of an image as JSON. */
export function exactOptionsOf(facts: ModelFacts, settings: Settings, size: Size, seeds: ImageSeeds): string {
  return formatExact(facts.name, optionsOf(settings, size, seeds), settings.unwritten);
}

/**
 * Returns the options of an image. With a variation, images of a call differ by their variation seeds, otherwise by
 * their seeds.
 */
function optionsOf(settings: Settings, size: Size, { seed, subseed }: ImageSeeds) {
  const { width, height } = size;
  const { variation } = settings;
  return {
    ...withLoraTags(settings.options, settings),
    seed,
    width,
    height,
    ...(variation.strength === 0 ? {} : { subseed }),
  };
}
