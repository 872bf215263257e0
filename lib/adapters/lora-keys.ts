/**
 * Parses the tensor names of LoRA files into a layer and a role: a factor, the alpha that scales both, or a part of an
 * unsupported type. Names as in kohya-ss/sd-scripts, huggingface/diffusers, huggingface/peft and
 * KohakuBlueleaf/LyCORIS.
 */

export type LoraRole = 'up' | 'down' | 'alpha' | 'full';

export interface LoraKey {
  /** Name of the layer in the file: `lora_unet_mid_block_...` or `unet.mid_block....` */
  readonly layer: string;
  readonly role: LoraRole;
}

const FACTORS: readonly RegExp[] = [
  /^(.+)\.lora_(up|down)\.weight$/,
  // PEFT inserts the adapter's name, diffusers does not.
  /^(.+)\.lora_([AB])(?:\.[^.]+)?\.weight$/,
  /^(.+)\.lora\.(up|down)\.weight$/,
  /^(.+)\.lora_linear_layer\.(up|down)\.weight$/,
];
/** diffusers before 0.22: factors of the attention processor, or of its replacement in a text encoder. */
const PROCESSOR = /^(.+?)(?:\.processor)?\.to_(q|k|v|out)_lora\.(up|down)\.weight$/;
const ROLES: Readonly<Record<string, LoraRole>> = { A: 'down', B: 'up', up: 'up', down: 'down' };

/** Returns null for a tensor that is not part of a LoRA. */
export function readLoraKey(name: string): LoraKey | null {
  const [, attention, projection, factor] = PROCESSOR.exec(name) ?? [];
  if (attention !== undefined && projection !== undefined && factor !== undefined) {
    const projectionName = projection === 'out' ? 'to_out.0' : `to_${projection}`;
    const layer = `${attention}.${attention.endsWith('self_attn') ? `${projection}_proj` : projectionName}`;
    return { layer: withoutWrapper(layer), role: ROLES[factor]! };
  }
  for (const form of FACTORS) {
    const [, layer, which] = form.exec(name) ?? [];
    if (layer !== undefined && which !== undefined)
      return { layer: withoutWrapper(layer), role: ROLES[which]! };
  }
  const [, layer, leaf] = /^(.+)\.(alpha|diff)$/.exec(name) ?? [];
  if (layer === undefined) return null;
  return { layer: withoutWrapper(layer), role: leaf === 'diff' ? 'full' : 'alpha' };
}

/** Removes the prefix of the wrapped model in PEFT's own files. */
function withoutWrapper(layer: string): string {
  return layer.startsWith('base_model.model.') ? layer.slice('base_model.model.'.length) : layer;
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

/** Returns the type of adapter to which a tensor belongs if that is unsupported. */
export function unsupportedForm(name: string): string | undefined {
  return UNSUPPORTED.find(([pattern]) => pattern.test(name))?.[1];
}
