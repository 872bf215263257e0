/** The caller's names of options: errors of jobs speak of the pipeline's options, and A1111's clients know its fields alone. */

/** Fields and settings of A1111 by the options that they become. Options whose name is the same there are not listed. */
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
  model: 'sd_model_checkpoint',
  clipSkip: 'CLIP_stop_at_last_layers',
  rng: 'randn_source',
  etaNoiseSeedDelta: 'eta_noise_seed_delta',
  sigmaMin: 'sigma_min',
  sigmaMax: 'sigma_max',
  discardPenultimate: 'always_discard_next_to_last_sigma',
};

/** Names that are no words of their own, so that they mean the option wherever they come in a sentence. */
const NAMES = Object.keys(FIELDS)
  .filter((name) => /[A-Z.]/.test(name) || name === 'cfg')
  .sort((a, b) => b.length - a.length)
  .map((name) => name.replaceAll('.', '\\.'));
const ANYWHERE = new RegExp(`(?<![\\w.])(?:${NAMES.join('|')})(?![\\w.])`, 'g');

/** Places of a sentence where only an option can be named: `for init, received`, `leave out mask`, `options are not right: batch: ...`. */
const BY_PLACE = [
  /(?<=\bfor )[A-Za-z][\w.]*(?=,? (?:but )?received)/g,
  /(?<=\b(?:leave out|give|beside) )[A-Za-z][\w.]*/g,
  /(?<=(?:^|[:;] ))[A-Za-z][\w.]*(?=: )/g,
];

/** The field that an option came from. */
export function fieldOf(option: string): string {
  return Object.hasOwn(FIELDS, option) ? FIELDS[option]! : option;
}

/** A message about options with the fields that they came from. */
export function inFields(message: string): string {
  return BY_PLACE.reduce((text, place) => text.replace(place, fieldOf), message.replace(ANYWHERE, fieldOf));
}
