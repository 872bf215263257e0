/** The form: everything that can be set, in one piece of plain data that survives a reload. `null` is the model's own default. */

export const modes = ['text', 'picture', 'inpaint', 'sketch', 'inside'] as const;
export type Mode = (typeof modes)[number];

export interface Settings {
  readonly mode: Mode;
  /** Configured names; null is the first of its kind. */
  readonly model: string | null;
  readonly codesModel: string | null;
  readonly prompt: string;
  readonly negative: string;
  readonly width: number | null;
  readonly height: number | null;
  readonly count: number;
  readonly steps: number | null;
  readonly cfg: number | null;
  readonly sampler: string | null;
  readonly schedule: string | null;
  /** Null is a new one for each job. */
  readonly seed: number | null;
  readonly clipSkip: number | null;
  readonly rng: 'cpu' | 'cuda';
  readonly strength: number;
  readonly hires: boolean;
  readonly hiresScale: number;
  readonly hiresSteps: number | null;
  readonly hiresStrength: number;
  readonly hiresUpscaler: string;
  readonly maskBlur: number;
  readonly fill: 'fill' | 'original' | 'noise' | 'nothing';
  readonly onlyMasked: boolean;
  readonly padding: number;
  readonly temperature: number | null;
  readonly topK: number | null;
  readonly topP: number | null;
}

export const defaults: Settings = {
  ...{ mode: 'text', model: null, codesModel: null, prompt: '', negative: '' },
  ...{ width: null, height: null, count: 1, steps: null, cfg: null, sampler: null, schedule: null },
  ...{ seed: null, clipSkip: null, rng: 'cpu', strength: 0.75 },
  ...{ hires: false, hiresScale: 2, hiresSteps: null, hiresStrength: 0.6, hiresUpscaler: 'latent' },
  ...{ maskBlur: 4, fill: 'original', onlyMasked: false, padding: 32 },
  ...{ temperature: null, topK: null, topP: null },
};

/** By A1111's names in saved settings. */
export const upscalers = [
  ['latent', 'Latent'],
  ['latent_antialiased', 'Latent (antialiased)'],
  ['latent_bicubic', 'Latent (bicubic)'],
  ['latent_bicubic_antialiased', 'Latent (bicubic antialiased)'],
  ['latent_nearest', 'Latent (nearest)'],
  ['latent_nearest_exact', 'Latent (nearest-exact)'],
  ['lanczos', 'Lanczos'],
] as const;

/** Settings that were kept by an earlier visit: whatever still has its type. */
export function revived(kept: unknown): Settings {
  if (typeof kept !== 'object' || kept === null) return defaults;
  const known = Object.entries(kept).filter(([key, value]) => {
    if (!(key in defaults)) return false;
    const own = defaults[key as keyof Settings];
    return own === null || typeof value === typeof own;
  });
  const settings = { ...defaults, ...Object.fromEntries(known) };
  return modes.includes(settings.mode) ? settings : { ...settings, mode: 'text' };
}
