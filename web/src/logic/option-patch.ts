/** Which setting of the form each option is. */
import { defaults, type Settings } from './settings.js';

const FORM: Readonly<Record<string, keyof Settings>> = {
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
 * What an option changes in the form; undefined where the form does not have it, or not with such a value.
 * @param parent the option that has this one; empty at the top
 * @param value one that has passed the check; null for the default
 */
export function patchOfOption(parent: string, name: string, value: unknown): Partial<Settings> | undefined {
  const on = parent === 'hires' ? { hires: true } : {};
  if (name === 'seedResizeFrom') {
    const { width = null, height = null } = (value ?? {}) as { width?: number; height?: number };
    return { seedResizeWidth: width, seedResizeHeight: height };
  }
  const key = FORM[parent === '' ? name : `${parent}.${name}`];
  if (key === undefined || (parent !== '' && parent !== 'hires')) return undefined;
  const own = defaults[key];
  if (value === null) return { ...on, [key]: own };
  const isRight = own === null ? typeof value !== 'object' : typeof value === typeof own;
  return isRight ? { ...on, [key]: value } : undefined;
}
