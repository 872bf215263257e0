/**
 * All options of image generation by diffusion, grouped by topic; each is declared in one of the files of this
 * folder.
 */
import type { Fields, OptionsOf } from '../field.js';
import { adapterFields } from './adapters.js';
import { hiresFields } from './hires.js';
import { imageFields } from './image.js';
import { maskFields } from './mask.js';
import { noiseFields } from './noise.js';
import { promptFields } from './prompt.js';
import { samplingFields } from './sampling.js';
import { sourceFields } from './source.js';
import { textFields } from './text.js';

/** Options by heading, in the order of help; object options have a heading of their own. */
export const topics: readonly { readonly title: string; readonly fields: Fields }[] = [
  { title: 'Prompt:', fields: { ...textFields, ...promptFields } },
  { title: 'Image:', fields: imageFields },
  { title: 'Noise:', fields: noiseFields },
  { title: 'From an image:', fields: { ...sourceFields, ...maskFields } },
  { title: '', fields: hiresFields },
  { title: 'Sampling:', fields: samplingFields },
  { title: 'Adapters:', fields: adapterFields },
];

// Named types, so that declaration files and compiler messages do not repeat every declaration.
type CommonFields = typeof textFields &
  typeof promptFields &
  typeof imageFields &
  typeof noiseFields &
  typeof samplingFields &
  typeof adapterFields;
type GenerationFields = CommonFields & typeof sourceFields & typeof maskFields & typeof hiresFields;

/** Options shared by text to image, image to image and inpainting. */
export const commonFields: CommonFields = {
  ...textFields,
  ...promptFields,
  ...imageFields,
  ...noiseFields,
  ...samplingFields,
  ...adapterFields,
};
export const generationFields: GenerationFields = {
  ...commonFields,
  ...sourceFields,
  ...maskFields,
  ...hiresFields,
};
export type GenerationOptions = OptionsOf<GenerationFields>;
