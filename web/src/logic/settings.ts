/** The form: everything that can be set, in one piece of plain data that survives a reload. `null` is the model's own default. */

import { checked, type Further } from './further.js';

export const modes = ['text', 'picture', 'inpaint', 'sketch', 'inside'] as const;
export type Mode = (typeof modes)[number];

export interface Settings {
  readonly mode: Mode;
  /** Configured names; null is the first of its kind. */
  readonly model: string | null;
  readonly vqganModel: string | null;
  readonly prompt: string;
  readonly negative: string;
  /** Names of the styles that are put into the prompts when a job is queued. */
  readonly styles: readonly string[];
  readonly width: number | null;
  readonly height: number | null;
  /** Batch count; with a batch size, so many images are made. */
  readonly count: number;
  /** Batch size: images computed together. Null lets the server choose and counts as one. */
  readonly batch: number | null;
  readonly steps: number | null;
  readonly cfg: number | null;
  readonly sampler: string | null;
  readonly schedule: string | null;
  /** Null is a new one for each job. */
  readonly seed: number | null;
  /** Seed of a variation; null is a new one for each job. Counts only with a strength above 0. */
  readonly subseed: number | null;
  readonly subseedStrength: number;
  /** Size of the image whose composition is kept at another size. */
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
  /** Prompts of the second pass; empty ones are those of the first. */
  readonly hiresPrompt: string;
  readonly hiresNegative: string;
  readonly maskBlur: number;
  readonly fill: 'fill' | 'original' | 'noise' | 'nothing';
  readonly onlyMasked: boolean;
  readonly padding: number;
  /** Options that the form has no controls for, taken over from an image. */
  readonly further: Further;
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
  ...{ further: {}, temperature: null, topK: null, topP: null },
};

/** Nullable settings that are names; the other nullable ones are numbers. */
const NAMES: ReadonlySet<string> = new Set(['model', 'vqganModel', 'sampler', 'schedule']);

/** Settings that were kept by an earlier visit: whatever still has its type. */
export function revived(kept: unknown): Settings {
  if (typeof kept !== 'object' || kept === null) return defaults;
  const known = Object.entries(kept).filter(([key, value]) => key in defaults && hasType(key, value));
  const all = { ...defaults, ...Object.fromEntries(known) };
  const settings = { ...all, further: checked(all.further) };
  return modes.includes(settings.mode) ? settings : { ...settings, mode: 'text' };
}

function hasType(key: string, value: unknown): boolean {
  const own = defaults[key as keyof Settings];
  if (Array.isArray(own)) return Array.isArray(value) && value.every((one) => typeof one === 'string');
  if (own !== null) return typeof value === typeof own;
  return value === null || typeof value === (NAMES.has(key) ? 'string' : 'number');
}

/** What "Back to the model's defaults" leaves: the mode, the models and the prompt. Everything else is reset. */
export function resetOf({ mode, model, vqganModel, prompt }: Settings): Settings {
  return { ...defaults, mode, model, vqganModel, prompt };
}

/** Images that a job of these settings makes. */
export function imagesOf({ count, batch }: Pick<Settings, 'count' | 'batch'>): number {
  return count * (batch ?? 1);
}
