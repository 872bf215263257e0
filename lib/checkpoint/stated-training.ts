/**
 * Training facts that the tools of the field write into a file's text metadata: Stability's ModelSpec (`modelspec.*`, also by
 * OneTrainer and, as `predict_key`, ComfyUI) and kohya's sd-scripts (`ss_*`). They are notes of strangers: a value that is not known
 * counts as none, and nothing here throws.
 */
import type { SchedulerConfig } from './config/types.js';

export interface Stated<T> {
  readonly value: T;
  /** The key that says so. */
  readonly key: string;
}

export interface StatedTraining {
  readonly prediction: Stated<SchedulerConfig['prediction']> | null;
  /** Zero terminal SNR. */
  readonly zeroSnr: Stated<boolean> | null;
}

type Read<T> = (value: string) => T | undefined;

const PREDICTIONS: ReadonlyMap<string, SchedulerConfig['prediction']> = new Map([
  ...['v', 'vpred', 'vprediction', 'vparameterization', 'vparam', 'velocity'].map(
    (name) => [name, 'v'] as const,
  ),
  ...['epsilon', 'eps', 'epsprediction', 'epsilonprediction', 'noise'].map((name) => [name, 'eps'] as const),
  ...['sample', 'x0', 'xstart', 'x0prediction'].map((name) => [name, 'x0'] as const),
]);

const VERSIONS: ReadonlyMap<string, SchedulerConfig['prediction']> = new Map([
  ['sd_v1', 'eps'],
  ['sd_v1_v', 'v'],
  ['sd_v2', 'eps'],
  ['sd_v2_v', 'v'],
]);

/** Keys whose value names the prediction, then those that say by yes or no that it is v, then what implies it. */
const PREDICTION_KEYS: readonly (readonly [key: string, read: Read<SchedulerConfig['prediction']>])[] = [
  ['modelspec.prediction_type', named],
  ['modelspec.predict_key', named],
  ['prediction_type', named],
  ['ss_prediction_type', named],
  ['ss_v_parameterization', isV],
  ['v_parameterization', isV],
  ['v_pred', (value) => (isMarker(value) ? 'v' : undefined)],
  // `sd_v2` and `sd_v2_v`; of SDXL it says nothing. `ss_v2` is about the text encoder alone, which the tensors tell.
  ['ss_base_model_version', (value) => VERSIONS.get(value)],
  ['modelspec.architecture', architecture],
];

const ZERO_SNR_KEYS: readonly (readonly [key: string, read: Read<boolean>])[] = [
  ['ss_zero_terminal_snr', flag],
  ['modelspec.zero_terminal_snr', flag],
  ['zero_terminal_snr', flag],
  ['rescale_betas_zero_snr', flag],
  ['ztsnr', (value) => isMarker(value) || undefined],
  ['zsnr', (value) => isMarker(value) || undefined],
];

/** @param notes text metadata by its keys, as the file has them */
export function readStatedTraining(notes: ReadonlyMap<string, string>): StatedTraining {
  const known = new Map<string, string>();
  for (const [key, value] of notes) known.set(key.trim().toLowerCase(), value.trim().toLowerCase());
  return { prediction: first(known, PREDICTION_KEYS), zeroSnr: first(known, ZERO_SNR_KEYS) };
}

function first<T>(
  notes: ReadonlyMap<string, string>,
  keys: readonly (readonly [key: string, read: Read<T>])[],
): Stated<T> | null {
  for (const [key, read] of keys) {
    const text = notes.get(key);
    const value = text === undefined ? undefined : read(text);
    if (value !== undefined) return { value, key };
  }
  return null;
}

/** `v`, `v_prediction`, `V-Prediction`, `"epsilon"` ... */
function named(value: string): SchedulerConfig['prediction'] | undefined {
  return PREDICTIONS.get(value.replaceAll(/[\s_"'-]/g, ''));
}

function flag(value: string): boolean | undefined {
  if (['true', '1', '1.0', 'yes', 'on'].includes(value)) return true;
  return ['false', '0', '0.0', 'no', 'off'].includes(value) ? false : undefined;
}

function isV(value: string): SchedulerConfig['prediction'] | undefined {
  const v = flag(value);
  return v === undefined ? undefined : v ? 'v' : 'eps';
}

/** Some tools copy the markers' names into the metadata, without a value. */
function isMarker(value: string): boolean {
  return value === '' || flag(value) === true;
}

/** Of ModelSpec's names only those of SD2 tell; `-768-v` and `-512` stand before what may follow, such as `/lora`. */
function architecture(value: string): SchedulerConfig['prediction'] | undefined {
  if (/^stable-diffusion-v2-768-v(?![a-z0-9])/.test(value)) return 'v';
  return /^stable-diffusion-v2-(?:512|inpainting)(?![a-z0-9])/.test(value) ? 'eps' : undefined;
}
