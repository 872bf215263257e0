/** All options of a diffusion, by topic. An option belongs here once it is declared in one of the files beside. */
import type { Fields, OptionsOf } from '../field.js';
import { adapterFields } from './adapters.js';
import { hiresFields } from './hires.js';
import { imageFields } from './image.js';
import { maskFields } from './mask.js';
import { noiseFields } from './noise.js';
import { samplingFields } from './sampling.js';
import { sourceFields } from './source.js';
import { textFields } from './text.js';

/** Options under their headings in help, in order; an object has a heading of its own. */
export const topics: readonly { readonly title: string; readonly fields: Fields }[] = [
  { title: 'Prompt:', fields: textFields },
  { title: 'Image:', fields: imageFields },
  { title: 'Noise:', fields: noiseFields },
  { title: 'From an image:', fields: { ...sourceFields, ...maskFields } },
  { title: '', fields: hiresFields },
  { title: 'Sampling:', fields: samplingFields },
  { title: 'Adapters:', fields: adapterFields },
];

// Named, so that declaration files and messages of the compiler do not repeat every declaration.
type CommonFields = typeof textFields &
  typeof imageFields &
  typeof noiseFields &
  typeof samplingFields &
  typeof adapterFields;
type GenerationFields = CommonFields & typeof sourceFields & typeof maskFields & typeof hiresFields;

/** Options that every kind of generation has. */
export const commonFields: CommonFields = {
  ...textFields,
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
