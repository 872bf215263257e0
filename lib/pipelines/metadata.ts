/** The texts that an image carries about how it was made. */

import type { ModelFacts } from '../families/shared/loaded-model.js';
import { formatExact } from '../options/exact.js';
import { formatInfotext } from '../options/infotext/write.js';
import type { Settings } from './options.js';

interface Size {
  readonly width: number;
  readonly height: number;
}
interface ImageSeeds {
  readonly seed: number;
  readonly subseed: number;
}

/** A1111's generation parameters of one image. */
export function parametersOf(facts: ModelFacts, settings: Settings, size: Size, seeds: ImageSeeds): string {
  return formatInfotext(facts.name, optionsOf(settings, size, seeds));
}

/** Safelight's exact options of one image, as JSON. */
export function exactOptionsOf(facts: ModelFacts, settings: Settings, size: Size, seeds: ImageSeeds): string {
  return formatExact(facts.name, optionsOf(settings, size, seeds));
}

/** Of several images with a variation, the variation seeds differ; otherwise the seeds. */
function optionsOf({ options, variation }: Settings, size: Size, { seed, subseed }: ImageSeeds) {
  const { width, height } = size;
  return { ...options, seed, width, height, ...(variation.strength === 0 ? {} : { subseed }) };
}
