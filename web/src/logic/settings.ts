/** Settings of the form, as plain data that survives a reload. `null` means the model's default. */

import { checked, type Further } from './additional-options.js';

export const modes = ['text', 'picture', 'inpaint', 'sketch', 'inside'] as const;
export type Mode = (typeof modes)[number];

export interface Settings {
  readonly mode: Mode;
  /** Configured model names; null is the first model of its kind. */
  readonly model: string | null;
  readonly vqganModel: string | null;
  readonly prompt: string;
  readonly negative: string;
  /** Names of the styles applied to the prompts when a job is queued. */
  readonly styles: readonly string[];
  readonly width: number | null;
  readonly height: number | null;
  /** Batch count; the number of images is the batch count times the batch size. */
  readonly count: number;
  /** Batch size: images generated together. Null lets the server choose and counts as 1. */
  readonly batch: number | null;
  readonly steps: number | null;
  readonly cfg: number | null;
  readonly sampler: string | null;
  readonly schedule: string | null;
  /** Null is a random seed for each job. */
  readonly seed: number | null;
  /** Seed of a variation; null is a random seed for each job. Used only with a strength above 0. */
  readonly subseed: number | null;
  readonly subseedStrength: number;
  /** Original size when an image is generated with the same composition at another size. */
  readonly seedResizeWidth: number | null;
  readonly seedResizeHeight: number | null;
  readonly clipSkip: number | null;
  readonly rng: 'cpu' | 'cuda';
  readonly strength: number;
  readonly hires: boolean;
  readonly hiresScale: number;
  readonly hiresSteps: number | null;
  readonly hiresStrength: number;
  readonly hiresUpscaler: string;
  /** Prompts of the second pass; empty means those of the first pass. */
  readonly hiresPrompt: string;
  readonly hiresNegative: string;
  readonly maskBlur: number;
  readonly fill: 'fill' | 'original' | 'noise' | 'nothing';
  readonly onlyMasked: boolean;
  readonly padding: number;
  /** Options restored from an image for which the form has no controls. */
  readonly further: Further;
  /** True if jobs are grids; the axes are kept while it is false. */
  readonly grid: boolean;
  /** Axes of grids, as `OPTION=VALUES`; empty if not used. */
  readonly gridX: string;
  readonly gridY: string;
  readonly gridZ: string;
  readonly temperature: number | null;
  readonly topK: number | null;
  readonly topP: number | null;
}

export const defaults: Settings = {
  ...{ mode: 'text', model: null, vqganModel: null, prompt: '', negative: '', styles: [] },
  ...{ width: null, height: null, count: 1, batch: null },
  ...{ steps: null, cfg: null, sampler: null, schedule: null, clipSkip: null, rng: 'cpu' },
  ...{ seed: null, subseed: null, subseedStrength: 0, seedResizeWidth: null, seedResizeHeight: null },
  ...{ strength: 0.75, hires: false, hiresScale: 2, hiresSteps: null, hiresStrength: 0.6 },
  ...{ hiresUpscaler: 'latent', hiresPrompt: '', hiresNegative: '' },
  ...{ maskBlur: 4, fill: 'original', onlyMasked: false, padding: 32 },
  ...{ grid: false, gridX: '', gridY: '', gridZ: '' },
  ...{ further: {}, temperature: null, topK: null, topP: null },
};

/** Nullable settings that are strings; the other nullable settings are numbers. */
const STRINGS: ReadonlySet<string> = new Set(['model', 'vqganModel', 'sampler', 'schedule']);

/** Restores stored settings, dropping values whose type is no longer valid. */
export function reviveSettings(stored: unknown): Settings {
  if (typeof stored !== 'object' || stored === null) return defaults;
  const valid = Object.entries(stored).filter(([key, value]) => key in defaults && hasType(key, value));
  const all = { ...defaults, ...Object.fromEntries(valid) };
  const settings = { ...all, further: checked(all.further) };
  return modes.includes(settings.mode) ? settings : { ...settings, mode: 'text' };
}

function hasType(key: string, value: unknown): boolean {
  const fallback = defaults[key as keyof Settings];
  if (Array.isArray(fallback)) return Array.isArray(value) && value.every((item) => typeof item === 'string');
  if (fallback !== null) return typeof value === typeof fallback;
  return value === null || typeof value === (STRINGS.has(key) ? 'string' : 'number');
}

/** Resets all settings except the mode, the models and the prompt. */
export function resetOf({ mode, model, vqganModel, prompt }: Settings): Settings {
  return { ...defaults, mode, model, vqganModel, prompt };
}

/** Returns the number of images that a job with these settings generates. */
export function imagesOf({ count, batch }: Pick<Settings, 'count' | 'batch'>): number {
  return count * (batch ?? 1);
}
