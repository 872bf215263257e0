/** The fields of A1111's requests that mean something here. Others are ignored, and null is as good as left out. */
import { z } from 'zod';

/** Numbers also come as text from some clients. */
const number = z.coerce.number();
const whole = z.coerce.number().int();
const flag = z.union([
  z.boolean(),
  z.enum(['true', 'false', 'True', 'False']).transform((text) => text.toLowerCase() === 'true'),
  z.literal(0).transform(() => false),
  z.literal(1).transform(() => true),
]);
const text = z.string();
const side = whole.min(0).max(65_536);
const picture = z.string().describe('Base64 or a data URI');

const generation = {
  prompt: text.nullish(),
  negative_prompt: text.nullish(),
  styles: z.array(text).max(1000).nullish(),
  seed: whole.nullish().describe('-1 is random'),
  subseed: whole.nullish(),
  subseed_strength: number.nullish(),
  seed_resize_from_h: whole.nullish(),
  seed_resize_from_w: whole.nullish(),
  sampler_name: text.nullish().describe('Default Euler'),
  sampler_index: text.nullish(),
  scheduler: text.nullish().describe('Default Automatic'),
  batch_size: whole.min(1).max(1000).nullish(),
  n_iter: whole.min(1).max(1000).nullish(),
  steps: whole.min(1).nullish().describe('Default 50'),
  cfg_scale: number.nullish().describe('Default 7'),
  width: side.nullish().describe('Pixels, rounded down to the grid; default 512'),
  height: side.nullish(),
  denoising_strength: number.nullish().describe('Default 0.75'),
  restore_faces: flag.nullish(),
  tiling: flag.nullish(),
  eta: number.nullish(),
  s_churn: number.nullish(),
  s_tmax: number.nullish(),
  s_tmin: number.nullish(),
  s_noise: number.nullish(),
  s_min_uncond: number.nullish(),
  override_settings: z.record(z.string(), z.unknown()).nullish(),
  override_settings_restore_afterwards: flag.nullish(),
  refiner_checkpoint: text.nullish(),
  refiner_switch_at: number.nullish(),
  send_images: flag.nullish(),
  save_images: flag.nullish(),
  do_not_save_samples: flag.nullish(),
  do_not_save_grid: flag.nullish(),
  script_name: text.nullish(),
  script_args: z.array(z.unknown()).nullish(),
  alwayson_scripts: z.record(z.string(), z.unknown()).nullish(),
  infotext: text.nullish().describe('Parameters of a picture, for fields that are left out'),
};

export const txt2imgFields = z.object({
  ...generation,
  enable_hr: flag.nullish(),
  firstphase_width: whole.nullish(),
  firstphase_height: whole.nullish(),
  hr_scale: number.nullish(),
  hr_upscaler: text.nullish(),
  hr_second_pass_steps: whole.min(0).nullish(),
  hr_resize_x: side.nullish(),
  hr_resize_y: side.nullish(),
  hr_checkpoint_name: text.nullish(),
  hr_sampler_name: text.nullish(),
  hr_scheduler: text.nullish(),
  hr_prompt: text.nullish(),
  hr_negative_prompt: text.nullish(),
});

export const img2imgFields = z.object({
  ...generation,
  init_images: z.array(picture).nullish(),
  resize_mode: whole.min(0).max(3).nullish().describe('0 stretch, 1 crop, 2 fill, 3 stretch the latent'),
  image_cfg_scale: number.nullish(),
  mask: picture.nullish(),
  mask_blur_x: number.nullish(),
  mask_blur_y: number.nullish(),
  mask_blur: number.nullish(),
  mask_round: flag.nullish(),
  inpainting_fill: whole.min(0).max(3).nullish().describe('0 fill, 1 original, 2 noise, 3 nothing'),
  inpaint_full_res: flag.nullish(),
  inpaint_full_res_padding: whole.nullish(),
  inpainting_mask_invert: flag.nullish(),
  initial_noise_multiplier: number.nullish(),
  include_init_images: flag.nullish(),
});

const extras = {
  resize_mode: whole.min(0).max(1).nullish(),
  show_extras_results: flag.nullish(),
  gfpgan_visibility: number.nullish(),
  codeformer_visibility: number.nullish(),
  codeformer_weight: number.nullish(),
  upscaling_resize: number.min(0.01).max(100).nullish(),
  upscaling_resize_w: side.nullish(),
  upscaling_resize_h: side.nullish(),
  upscaling_crop: flag.nullish(),
  upscaler_1: text.nullish(),
  upscaler_2: text.nullish(),
  extras_upscaler_2_visibility: number.min(0).max(1).nullish(),
  upscale_first: flag.nullish(),
};
export const extraSingleFields = z.object({ ...extras, image: picture });
export const extraBatchFields = z.object({
  ...extras,
  imageList: z.array(z.object({ data: picture, name: text.nullish() })).max(64),
});
export const pngInfoFields = z.object({ image: picture });
export const interrogateFields = z.object({ image: picture.nullish(), model: text.nullish() });

export type Txt2ImgBody = z.output<typeof txt2imgFields>;
export type Img2ImgBody = z.output<typeof img2imgFields>;
/** What both have, and what either may have. */
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

/** What A1111 says a request was, where it left a field out. */
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
