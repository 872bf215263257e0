/** A1111's options that Safelight supports, with their defaults and accepted values, stored on disk. */
import { readFile } from 'node:fs/promises';
import { writeOutput } from '../../files/write.js';
import type { Json } from '../../jobs/json.js';
import { noiseFields } from '../../options/declarations/noise.js';
import { samplingFields } from '../../options/declarations/sampling.js';
import { sourceFields } from '../../options/declarations/source.js';
import { textFields } from '../../options/declarations/text.js';
import type { Field } from '../../options/field.js';
import { choiceOf } from '../../options/infotext/values.js';
import { apiLimits } from '../../options/limits.js';
import { rangeOf } from '../../options/validate.js';
import { failure, notSupported, quoted } from './failures.js';

/** Settings by A1111's names. */
export type Settings = {
  /** A configured model name; empty for the default model. */
  readonly sd_model_checkpoint: string;
  readonly CLIP_stop_at_last_layers: number;
  readonly randn_source: 'CPU' | 'GPU' | 'NV';
  readonly eta_noise_seed_delta: number;
  readonly eta_ancestral: number;
  readonly eta_ddim: number;
  readonly s_churn: number;
  readonly s_tmin: number;
  readonly s_tmax: number;
  readonly s_noise: number;
  readonly sigma_min: number;
  readonly sigma_max: number;
  readonly rho: number;
  readonly always_discard_next_to_last_sigma: boolean;
  readonly emphasis: string;
  readonly initial_noise_multiplier: number;
  readonly tiling: boolean;
  readonly token_merging_ratio: number;
  /** Replaces `token_merging_ratio` for img2img, unless it is 0. */
  readonly token_merging_ratio_img2img: number;
  readonly live_previews_enable: boolean;
  readonly show_progress_every_n_steps: number;
  /** Name of a LoRA that is added to each prompt, or `None`. */
  readonly sd_lora: string;
  /** Weight of `sd_lora`. */
  readonly extra_networks_default_multiplier: number;
};

/** Upper limit of sigmas, because JSON has no infinity. */
const MAX_SIGMA = 1e6;

/** Validates and converts a value. @param name name of the option for errors, as the caller wrote it */
type Parse = (name: string, value: unknown) => Json;

const invalidValue = (name: string, expected: string, value: unknown): Error =>
  failure(422, `Expected the option ${name} to be ${expected}, received ${quoted(value)}`);

const between =
  (min: number, max: number, integer = false): Parse =>
  (name, value) => {
    const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
    const isInRange = typeof number === 'number' && number >= min && number <= max;
    if (isInRange && (!integer || Number.isInteger(number))) return number;
    throw invalidValue(name, `${integer ? 'an integer' : 'a number'} between ${min} and ${max}`, value);
  };
/** Accepts the range of a pipeline option; 0 selects the default. */
const boundedBy = (field: Field): Parse => {
  const [, max] = rangeOf(field, apiLimits);
  return between(0, Math.min(max, MAX_SIGMA));
};
const flag: Parse = (name, value) => {
  if (typeof value === 'boolean') return value;
  if (value === 0 || value === 1) return value === 1;
  if (typeof value === 'string' && /^(?:true|false)$/i.test(value)) return value.toLowerCase() === 'true';
  throw invalidValue(name, 'true or false', value);
};
const source: Parse = (name, value) => {
  const device = ['CPU', 'GPU', 'NV'].find((choice) => choice === String(value).toUpperCase());
  if (device) return device;
  throw invalidValue(name, 'one of CPU, GPU, NV', value);
};
const emphasis: Parse = (name, value) => {
  const { labels } = textFields.emphasis;
  const choice = typeof value === 'string' ? choiceOf(textFields.emphasis, value) : undefined;
  if (choice) return labels[choice];
  throw invalidValue(name, `one of ${Object.values(labels).join(', ')}`, value);
};
/** Accepts any name that a tag can contain; the server ignores a LoRA that it does not have, as A1111 does. */
const lora: Parse = (name, value) => {
  if (typeof value !== 'string' || value.length > 200 || /[<>:]/.test(value))
    throw invalidValue(name, 'the name of a LoRA (/sdapi/v1/loras lists them)', value);
  return value.trim() === '' ? 'None' : value.trim();
};

/** Default and accepted values of each supported option. */
const SUPPORTED: Readonly<Record<Exclude<keyof Settings, 'sd_model_checkpoint'>, readonly [Json, Parse]>> = {
  CLIP_stop_at_last_layers: [1, between(1, 12, true)],
  randn_source: ['CPU', source],
  eta_noise_seed_delta: [0, between(...rangeOf(noiseFields.etaNoiseSeedDelta, apiLimits), true)],
  eta_ancestral: [1, boundedBy(samplingFields.eta)],
  eta_ddim: [0, boundedBy(samplingFields.eta)],
  s_churn: [0, boundedBy(samplingFields.sChurn)],
  s_tmin: [0, boundedBy(samplingFields.sTmin)],
  s_tmax: [0, boundedBy(samplingFields.sTmax)],
  s_noise: [1, boundedBy(samplingFields.sNoise)],
  sigma_min: [0, boundedBy(samplingFields.sigmaMin)],
  sigma_max: [0, boundedBy(samplingFields.sigmaMax)],
  rho: [0, boundedBy(samplingFields.rho)],
  always_discard_next_to_last_sigma: [false, flag],
  emphasis: ['Original', emphasis],
  initial_noise_multiplier: [1, boundedBy(sourceFields.initialNoiseMultiplier)],
  tiling: [false, flag],
  token_merging_ratio: [0, boundedBy(samplingFields.tokenMerging)],
  token_merging_ratio_img2img: [0, boundedBy(samplingFields.tokenMerging)],
  live_previews_enable: [true, flag],
  show_progress_every_n_steps: [1, between(-1, 1000, true)],
  sd_lora: ['None', lora],
  extra_networks_default_multiplier: [1, between(-100, 100)],
};

/** Options with a single supported value, followed by other values with the same meaning. */
const FIXED: Readonly<Record<string, readonly [value: Json, ...same: Json[]]>> = {
  sd_vae: ['Automatic', 'None', '', null],
  sd_hypernetwork: ['None', '', null],
  sd_unet: ['Automatic', 'None'],
  samples_format: ['png'],
  enable_pnginfo: [true],
  save_images_add_number: [true],
  img2img_background_color: ['#ffffff'],
  img2img_color_correction: [false],
  img2img_extra_noise: [0],
  inpainting_mask_weight: [1],
  upscaler_for_img2img: [null, '', 'None'],
  face_restoration: [false],
  face_restoration_model: [null, '', 'CodeFormer', 'GFPGAN'],
  token_merging_ratio_hr: [0],
  s_min_uncond: [0],
  comma_padding_backtrack: [20],
  pad_cond_uncond: [true, false],
  persistent_cond_cache: [true, false],
  batch_cond_uncond: [true, false],
  enable_batch_seeds: [true],
  use_old_emphasis_implementation: [false],
  use_old_karras_scheduler_sigmas: [false],
  use_old_hires_fix_width_height: [false],
  no_dpmpp_sde_batch_determinism: [false],
  use_old_scheduling: [false],
  use_downcasted_alpha_bar: [false],
  refiner_switch_by_sample_steps: [false],
  fp8_storage: ['Disable'],
  live_previews_image_format: ['png'],
  interrogate_return_ranks: [false],
};

const defaults = {
  sd_model_checkpoint: '',
  ...Object.fromEntries(Object.entries(SUPPORTED).map(([name, [value]]) => [name, value])),
} as Settings;

/** Returns the configured name of a model for any form that clients send; `field` is used in errors. @throws 422 */
export type FindModel = (name: string, field?: string) => string;

/**
 * Returns the settings with changes applied; unknown options are ignored.
 * @param prefix prefix of option names in errors, such as `override_settings.`
 * @throws 422 for an invalid or unsupported value or an unknown model
 */
export function applyChanges(
  settings: Settings,
  changes: Readonly<Record<string, unknown>>,
  find: FindModel,
  prefix = '',
): Settings {
  const next: Record<string, Json> = { ...settings };
  for (const [name, value] of Object.entries(changes)) {
    const field = prefix + name;
    if (name === 'sd_model_checkpoint') {
      if (value !== null && value !== '') next[name] = find(modelName(field, value), field);
    } else if (Object.hasOwn(SUPPORTED, name)) {
      if (value !== null) next[name] = SUPPORTED[name as keyof typeof SUPPORTED][1](field, value);
    } else if (Object.hasOwn(FIXED, name)) {
      if (!FIXED[name]!.some((supported) => isSameValue(value, supported)))
        throw notSupported(
          `The option ${field} (${quoted(value)})`,
          `the only supported value is ${JSON.stringify(FIXED[name]![0])}`,
        );
    }
  }
  return next as Settings;
}

function modelName(field: string, value: unknown): string {
  if (typeof value === 'string' || typeof value === 'number') return String(value);
  throw invalidValue(field, 'the title of a checkpoint (/sdapi/v1/sd-models lists them)', value);
}

/** Compares a value, ignoring the case of names and accepting numbers and booleans as text. */
function isSameValue(value: unknown, supported: Json): boolean {
  if (value === supported) return true;
  if (typeof value !== 'string') return false;
  if (typeof supported === 'string') return value.trim().toLowerCase() === supported.toLowerCase();
  return value.trim() !== '' && value.trim().toLowerCase() === String(supported);
}

/** Returns all options as the response of GET /options. */
export function toOptions(settings: Settings, title: string): Record<string, Json> {
  return {
    ...Object.fromEntries(Object.entries(FIXED).map(([name, [value]]) => [name, value])),
    ...settings,
    sd_model_checkpoint: title,
    sd_checkpoint_hash: null,
  };
}

/** Settings of a server that persist across restarts. */
export class SettingsFile {
  private constructor(
    private readonly path: string,
    private current: Settings,
  ) {}

  /** Reads the settings; values that are no longer valid are dropped. */
  static async open(path: string, find: FindModel): Promise<SettingsFile> {
    let settings = defaults;
    const text = await readFile(path, 'utf8').catch(() => '{}');
    let saved: unknown;
    try {
      saved = JSON.parse(text);
    } catch {
      saved = {};
    }
    for (const [name, value] of Object.entries(saved ?? {})) {
      try {
        settings = applyChanges(settings, { [name]: value }, find);
      } catch {}
    }
    return new SettingsFile(path, settings);
  }

  get settings(): Settings {
    return this.current;
  }

  /** @throws FILE_NOT_WRITTEN */
  async save(settings: Settings): Promise<void> {
    this.current = settings;
    await writeOutput(this.path, Buffer.from(`${JSON.stringify(settings, null, 2)}\n`));
  }
}
