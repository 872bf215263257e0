/**
 * Training settings that tools write into a file's text metadata: Stability's ModelSpec (`modelspec.*`, also written by
 * OneTrainer and, as `predict_key`, by ComfyUI) and kohya's sd-scripts (`ss_*`). The metadata is untrusted: unknown
 * values are ignored, and nothing here throws.
 */
import type { SchedulerConfig } from './config/types.js';

export interface MetadataValue<T> {
  readonly value: T;
  /** The metadata key that states the value. */
  readonly key: string;
}

export interface TrainingMetadata {
  readonly prediction: MetadataValue<SchedulerConfig['prediction']> | null;
  /** True for betas rescaled to zero terminal SNR. */
  readonly zeroSnr: MetadataValue<boolean> | null;
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

/**
 * In this order: keys whose value names the prediction, keys that state v-prediction as a boolean, keys that imply it.
 */
const PREDICTION_KEYS: readonly (readonly [key: string, read: Read<SchedulerConfig['prediction']>])[] = [
  ['modelspec.prediction_type', named],
  ['modelspec.predict_key', named],
  ['prediction_type', named],
  ['ss_prediction_type', named],
  ['ss_v_parameterization', isV],
  ['v_parameterization', isV],
  ['v_pred', (value) => (isMarker(value) ? 'v' : undefined)],
  // `sd_v2` and `sd_v2_v`; has no information about SDXL. `ss_v2` concerns only the text encoder, which the tensors
  // determine.
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

/** @param notes text metadata of the file; keys and values are compared without case and surrounding white space */
export function readTrainingMetadata(notes: ReadonlyMap<string, string>): TrainingMetadata {
  const normalized = new Map<string, string>();
  for (const [key, value] of notes) normalized.set(key.trim().toLowerCase(), value.trim().toLowerCase());
  return { prediction: first(normalized, PREDICTION_KEYS), zeroSnr: first(normalized, ZERO_SNR_KEYS) };
}

function first<T>(
  notes: ReadonlyMap<string, string>,
  keys: readonly (readonly [key: string, read: Read<T>])[],
): MetadataValue<T> | null {
  for (const [key, read] of keys) {
    const text = notes.get(key);
    const value = text === undefined ? undefined : read(text);
    if (value !== undefined) return { value, key };
  }
  return null;
}

/** Parses `v`, `v_prediction`, `V-Prediction`, `"epsilon"` ... */
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

/** Returns true for a set marker. Some tools copy the names of marker tensors into the metadata without a value. */
function isMarker(value: string): boolean {
  return value === '' || flag(value) === true;
}

/**
 * Returns the prediction that an architecture name of ModelSpec determines: only those of SD2 do. A suffix such as `/lora` may follow.
 */
function architecture(value: string): SchedulerConfig['prediction'] | undefined {
  if (/^stable-diffusion-v2-768-v(?![a-z0-9])/.test(value)) return 'v';
  return /^stable-diffusion-v2-(?:512|inpainting)(?![a-z0-9])/.test(value) ? 'eps' : undefined;
}
