/**
 * Spellings of a LoRA's tensors. Each names a place in a module and what of it the tensor is: a factor, the number that scales both, or a
 * part of a form that is not applied. Seen in kohya-ss/sd-scripts, huggingface/diffusers, huggingface/peft and KohakuBlueleaf/LyCORIS.
 */

export type LoraRole = 'up' | 'down' | 'alpha' | 'full';

export interface LoraKey {
  /** Name of the place as the file has it: `lora_unet_mid_block_...` or `unet.mid_block....` */
  readonly place: string;
  readonly role: LoraRole;
}

const FACTORS: readonly RegExp[] = [
  /^(.+)\.lora_(up|down)\.weight$/,
  // PEFT writes the adapter's name between, diffusers does not.
  /^(.+)\.lora_([AB])(?:\.[^.]+)?\.weight$/,
  /^(.+)\.lora\.(up|down)\.weight$/,
  /^(.+)\.lora_linear_layer\.(up|down)\.weight$/,
];
/** diffusers before 0.22: the factors hang on the attention's processor, or on what took its place in a text encoder. */
const PROCESSOR = /^(.+?)(?:\.processor)?\.to_(q|k|v|out)_lora\.(up|down)\.weight$/;
const ROLES: Readonly<Record<string, LoraRole>> = { A: 'down', B: 'up', up: 'up', down: 'down' };

/** Returns null for a tensor that belongs to no LoRA. */
export function readLoraKey(name: string): LoraKey | null {
  const [, attention, projection, factor] = PROCESSOR.exec(name) ?? [];
  if (attention !== undefined && projection !== undefined && factor !== undefined) {
    const own = projection === 'out' ? 'to_out.0' : `to_${projection}`;
    const place = `${attention}.${attention.endsWith('self_attn') ? `${projection}_proj` : own}`;
    return { place: withoutWrapper(place), role: ROLES[factor]! };
  }
  for (const form of FACTORS) {
    const [, place, which] = form.exec(name) ?? [];
    if (place !== undefined && which !== undefined)
      return { place: withoutWrapper(place), role: ROLES[which]! };
  }
  const [, place, leaf] = /^(.+)\.(alpha|diff)$/.exec(name) ?? [];
  if (place === undefined) return null;
  return { place: withoutWrapper(place), role: leaf === 'diff' ? 'full' : 'alpha' };
}

/** PEFT's own files name the model that it wraps. */
function withoutWrapper(place: string): string {
  return place.startsWith('base_model.model.') ? place.slice('base_model.model.'.length) : place;
}

const UNSUPPORTED: readonly (readonly [pattern: RegExp, form: string])[] = [
  [/\.(dora_scale|lora_magnitude_vector(\..+)?)$/, 'DoRA'],
  [/\.hada_(w[12]_[ab]|t[12])$/, 'LoHa'],
  [/\.lokr_(w[12](_[ab])?|t[12])$/, 'LoKr'],
  [/\.(oft_blocks|oft_diag|boft_blocks)$|\.(oft|boft)_[RS](\..+)?$/, 'OFT'],
  [/\.(on_input|ia3_l(\..+)?)$/, 'IA3'],
  [/\.lora_mid\.weight$/, 'LoRA with a Tucker core'],
  [/\.(diff_b|w_norm|b_norm)$/, 'differences of biases and norms'],
  [/\.[ab][12]\.weight$/, 'GLoRA'],
];

/** The form of adapter that a tensor shows, where it is one that is not applied. */
export function unsupportedForm(name: string): string | undefined {
  return UNSUPPORTED.find(([pattern]) => pattern.test(name))?.[1];
}
