/** All options of a diffusion, by topic. An option belongs here once it is declared in one of the files beside. */
import type { Fields, OptionsOf } from '../field.js';
import { hiresFields } from './hires.js';
import { imageFields } from './image.js';
import { maskFields } from './mask.js';
import { noiseFields } from './noise.js';
import { samplingFields } from './sampling.js';
import { sourceFields } from './source.js';
import { textFields } from './text.js';

/** Options under their headings in help, in order. */
export const topics = [
  { title: 'Prompt:', fields: textFields },
  { title: 'Image:', fields: imageFields },
  { title: 'Noise:', fields: noiseFields },
  { title: 'From an image:', fields: { ...sourceFields, ...maskFields } },
  { title: '', fields: hiresFields },
  { title: 'Sampling:', fields: samplingFields },
] as const satisfies readonly { readonly title: string; readonly fields: Fields }[];

/** Options that every kind of generation has. */
export const commonFields = { ...textFields, ...imageFields, ...noiseFields, ...samplingFields };
export const generationFields = { ...commonFields, ...sourceFields, ...maskFields, ...hiresFields };
export type GenerationOptions = OptionsOf<typeof generationFields>;
