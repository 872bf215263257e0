/** Schemas of the supported fields of A1111's requests. Other fields are ignored; null means omitted. */
import { z } from 'zod';

/** Converts text to numbers, which some clients send, and empty text to null. */
function asNumber(value: unknown): unknown {
  if (typeof value === 'boolean') return Number(value);
  if (typeof value !== 'string') return value;
  if (value.trim() === '') return null;
  return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(value.trim()) ? Number(value) : value;
}

/** Converts the spellings of true and false in Python clients and forms. */
function asFlag(value: unknown): unknown {
  if (value === 1 || value === 0) return value === 1;
  if (typeof value !== 'string') return value;
  if (/^(?:true|t|yes|y|on|1)$/i.test(value.trim())) return true;
  return /^(?:false|f|no|n|off|0)$/i.test(value.trim()) ? false : value;
}

const asText = (value: unknown): unknown => (typeof value === 'number' ? String(value) : value);

const of = (kind: z.ZodNumber) => z.preprocess(asNumber, kind.nullish()).optional();
const number = of(z.number());
const integer = of(z.int());
const integerFrom = (min: number, max?: number) =>
  of(max === undefined ? z.int().min(min) : z.int().min(min).max(max));
const flag = z.preprocess(asFlag, z.boolean().nullish()).optional();
const text = z.preprocess(asText, z.string().nullish()).optional();
const side = integerFrom(0, 65_536);
const image = z.string().describe('base64 or a data URI');

const generation = {
  prompt: text,
  negative_prompt: text,
  styles: z.array(z.string()).max(1000).nullish(),
  seed: integer.describe('-1 is random'),
  subseed: integer,
  subseed_strength: number,
  seed_resize_from_h: integer,
  seed_resize_from_w: integer,
  sampler_name: text.describe('default Euler'),
  sampler_index: text,
  scheduler: text.describe('default Automatic'),
  batch_size: integerFrom(1, 1000),
  n_iter: integerFrom(1, 1000),
  steps: integerFrom(1).describe('default 50'),
  cfg_scale: number.describe('default 7'),
  width: side.describe('in pixels, rounded down to a multiple of 8; default 512'),
  height: side,
  denoising_strength: number.describe('default 0.75'),
  restore_faces: flag,
  tiling: flag,
  eta: number,
  s_churn: number,
  s_tmax: number,
  s_tmin: number,
  s_noise: number,
  s_min_uncond: number,
  override_settings: z.record(z.string(), z.unknown()).nullish(),
  override_settings_restore_afterwards: flag,
  refiner_checkpoint: text,
  refiner_switch_at: number,
  send_images: flag,
  save_images: flag,
  do_not_save_samples: flag,
  do_not_save_grid: flag,
  script_name: text,
  script_args: z.array(z.unknown()).nullish(),
  alwayson_scripts: z.record(z.string(), z.unknown()).nullish(),
  infotext: text.describe('generation parameters text that provides omitted fields'),
};

export const txt2imgFields = z.object({
  ...generation,
  enable_hr: flag,
  firstphase_width: integer,
  firstphase_height: integer,
  hr_scale: number,
  hr_upscaler: text,
  hr_second_pass_steps: integerFrom(0),
  hr_resize_x: side,
  hr_resize_y: side,
  hr_checkpoint_name: text,
  hr_sampler_name: text,
  hr_scheduler: text,
  hr_prompt: text,
  hr_negative_prompt: text,
});

export const img2imgFields = z.object({
  ...generation,
  init_images: z.array(image).nullish(),
  resize_mode: integerFrom(0, 3).describe('0 stretch, 1 crop, 2 fill, 3 stretch the latent'),
  image_cfg_scale: number,
  mask: image.nullish(),
  mask_blur_x: number,
  mask_blur_y: number,
  mask_blur: number,
  mask_round: flag,
  inpainting_fill: integerFrom(0, 3).describe('0 fill, 1 original, 2 noise, 3 nothing'),
  inpaint_full_res: flag,
  inpaint_full_res_padding: integer,
  inpainting_mask_invert: flag,
  initial_noise_multiplier: number,
  include_init_images: flag,
});

const extras = {
  resize_mode: integerFrom(0, 1),
  show_extras_results: flag,
  gfpgan_visibility: number,
  codeformer_visibility: number,
  codeformer_weight: number,
  upscaling_resize: of(z.number().min(0.01).max(100)),
  upscaling_resize_w: side,
  upscaling_resize_h: side,
  upscaling_crop: flag,
  upscaler_1: text,
  upscaler_2: text,
  extras_upscaler_2_visibility: of(z.number().min(0).max(1)),
  upscale_first: flag,
};
export const extraSingleFields = z.object({ ...extras, image: image });
export const extraBatchFields = z.object({
  ...extras,
  imageList: z.array(z.object({ data: image, name: text })).max(64),
});
export const pngInfoFields = z.object({ image: image });
export const interrogateFields = z.object({ image: image.nullish(), model: text });

export type Txt2ImgBody = z.output<typeof txt2imgFields>;
export type Img2ImgBody = z.output<typeof img2imgFields>;
/** Fields of both routes. */
export type GenerationBody = z.output<z.ZodObject<typeof generation>>;
export type ExtraFields = z.output<z.ZodObject<typeof extras>>;

const shared = {
  ...{ prompt: '', negative_prompt: '', styles: null, seed: -1, subseed: -1, subseed_strength: 0 },
  ...{ seed_resize_from_h: -1, seed_resize_from_w: -1, sampler_name: null, scheduler: null, batch_size: 1 },
  ...{ n_iter: 1, steps: 50, cfg_scale: 7, width: 512, height: 512, restore_faces: null, tiling: null },
  ...{ do_not_save_samples: false, do_not_save_grid: false, eta: null, denoising_strength: 0.75 },
  ...{ s_min_uncond: null, s_churn: null, s_tmax: null, s_tmin: null, s_noise: null },
  ...{ override_settings: null, override_settings_restore_afterwards: true, refiner_checkpoint: null },
  ...{ refiner_switch_at: null, disable_extra_networks: false, comments: null, sampler_index: 'Euler' },
  ...{ script_name: null, script_args: [], send_images: true, save_images: false, alwayson_scripts: {} },
  ...{ force_task_id: null, infotext: null },
};

/** Values that A1111 reports in `parameters` for omitted fields. */
export const txt2imgDefaults = {
  ...shared,
  ...{ enable_hr: false, firstphase_width: 0, firstphase_height: 0, hr_scale: 2, hr_upscaler: null },
  ...{ hr_second_pass_steps: 0, hr_resize_x: 0, hr_resize_y: 0, hr_checkpoint_name: null },
  ...{ hr_sampler_name: null, hr_scheduler: null, hr_prompt: '', hr_negative_prompt: '' },
};
export const img2imgDefaults = {
  ...shared,
  ...{ init_images: null, resize_mode: 0, image_cfg_scale: null, mask: null, mask_blur_x: 4, mask_blur_y: 4 },
  ...{ mask_blur: null, mask_round: true, inpainting_fill: 0, inpaint_full_res: true },
  ...{ inpaint_full_res_padding: 0, inpainting_mask_invert: 0, initial_noise_multiplier: null },
  include_init_images: false,
};
