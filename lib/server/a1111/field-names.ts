/** Translates pipeline options in error messages to A1111's fields, the only names that its clients use. */

/** A1111's fields and settings by pipeline option. Options with the same name in A1111 are not listed. */
const FIELDS: Readonly<Record<string, string>> = {
  negative: 'negative_prompt',
  cfg: 'cfg_scale',
  sampler: 'sampler_name',
  schedule: 'scheduler',
  count: 'batch_size * n_iter',
  batch: 'batch_size',
  subseedStrength: 'subseed_strength',
  seedResizeFrom: 'seed_resize_from_w and seed_resize_from_h',
  'seedResizeFrom.width': 'seed_resize_from_w',
  'seedResizeFrom.height': 'seed_resize_from_h',
  sChurn: 's_churn',
  sTmin: 's_tmin',
  sTmax: 's_tmax',
  sNoise: 's_noise',
  init: 'init_images[0]',
  strength: 'denoising_strength',
  resizeMode: 'resize_mode',
  initialNoiseMultiplier: 'initial_noise_multiplier',
  maskBlur: 'mask_blur',
  'maskBlur.0': 'mask_blur_x',
  'maskBlur.1': 'mask_blur_y',
  maskInvert: 'inpainting_mask_invert',
  maskRound: 'mask_round',
  fill: 'inpainting_fill',
  onlyMasked: 'inpaint_full_res',
  padding: 'inpaint_full_res_padding',
  hires: 'enable_hr',
  'hires.scale': 'hr_scale',
  'hires.width': 'hr_resize_x',
  'hires.height': 'hr_resize_y',
  'hires.steps': 'hr_second_pass_steps',
  'hires.strength': 'denoising_strength',
  'hires.upscaler': 'hr_upscaler',
  'hires.prompt': 'hr_prompt',
  'hires.negative': 'hr_negative_prompt',
  'hires.sampler': 'hr_sampler_name',
  'hires.schedule': 'hr_scheduler',
  'hires.discardPenultimate': 'always_discard_next_to_last_sigma',
  scale: 'upscaling_resize',
  size: 'upscaling_resize_w and upscaling_resize_h',
  model: 'sd_model_checkpoint',
  clipSkip: 'CLIP_stop_at_last_layers',
  rng: 'randn_source',
  etaNoiseSeedDelta: 'eta_noise_seed_delta',
  sigmaMin: 'sigma_min',
  sigmaMax: 'sigma_max',
  discardPenultimate: 'always_discard_next_to_last_sigma',
};

/** Option names that are not English words, so that they can be replaced anywhere in a message. */
const NAMES = Object.keys(FIELDS)
  .filter((name) => /[A-Z.]/.test(name) || name === 'cfg')
  .sort((a, b) => b.length - a.length)
  .map((name) => name.replaceAll('.', '\\.'));
const ANYWHERE = new RegExp(`(?<![\\w.])(?:${NAMES.join('|')})(?![\\w.])`, 'g');

/**
 * Positions in a message where a word can only be an option: `for init, received`, `omit mask`, `Invalid options:
 * batch: ...`.
 */
const BY_POSITION = [
  /(?<=\bfor )[A-Za-z][\w.]*(?=,? (?:but )?received)/g,
  /(?<=\b(?:leave out|give|beside|omit|remove|pass|set|together with) )[A-Za-z][\w.]*/g,
  /(?<=(?:^|[:;] ))[A-Za-z][\w.]*(?=: )/g,
];

/** Returns A1111's field for a pipeline option. */
export function fieldOf(option: string): string {
  return Object.hasOwn(FIELDS, option) ? FIELDS[option]! : option;
}

/** Replaces pipeline options in a message with A1111's fields. */
export function withFieldNames(message: string): string {
  return BY_POSITION.reduce(
    (text, pattern) => text.replace(pattern, fieldOf),
    message.replace(ANYWHERE, fieldOf),
  );
}
