/** Maps pipeline options to settings of the form. */
import { defaults, type Settings } from './settings.js';

const SETTINGS: Readonly<Record<string, keyof Settings>> = {
  ...{ steps: 'steps', cfg: 'cfg', seed: 'seed', clipSkip: 'clipSkip', rng: 'rng', strength: 'strength' },
  ...{ sampler: 'sampler', schedule: 'schedule', width: 'width', height: 'height' },
  ...{ prompt: 'prompt', negative: 'negative', subseed: 'subseed', subseedStrength: 'subseedStrength' },
  ...{ maskBlur: 'maskBlur', fill: 'fill', onlyMasked: 'onlyMasked', padding: 'padding' },
  'hires.scale': 'hiresScale',
  'hires.steps': 'hiresSteps',
  'hires.strength': 'hiresStrength',
  'hires.upscaler': 'hiresUpscaler',
  'hires.prompt': 'hiresPrompt',
  'hires.negative': 'hiresNegative',
};

/**
 * Returns the change of the form for an option; undefined if the form has no such setting or does not accept the
 * value.
 * @param parent name of the object option that contains this one; empty at the top level
 * @param value a validated value; null for the default
 */
export function patchOfOption(parent: string, name: string, value: unknown): Partial<Settings> | undefined {
  const on = parent === 'hires' ? { hires: true } : {};
  if (name === 'seedResizeFrom') {
    const { width = null, height = null } = (value ?? {}) as { width?: number; height?: number };
    return { seedResizeWidth: width, seedResizeHeight: height };
  }
  const key = SETTINGS[parent === '' ? name : `${parent}.${name}`];
  if (key === undefined || (parent !== '' && parent !== 'hires')) return undefined;
  const fallback = defaults[key];
  if (value === null) return { ...on, [key]: fallback };
  const isSameType = fallback === null ? typeof value !== 'object' : typeof value === typeof fallback;
  return isSameType ? { ...on, [key]: value } : undefined;
}
