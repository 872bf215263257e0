/**
 * Tensor names of LoRA files and their relatives. A name consists of the changed layer and the role of the tensor. Seen in
 * kohya-ss/sd-scripts, huggingface/diffusers, huggingface/peft and KohakuBlueleaf/LyCORIS.
 */

/** Roles of tensors, named after LyCORIS where trainers differ. */
export type LoraRole =
  | ('lora_up' | 'lora_down' | 'lora_mid' | 'alpha' | 'dora_scale' | 'lora_magnitude_vector')
  | ('hada_w1_a' | 'hada_w1_b' | 'hada_w2_a' | 'hada_w2_b' | 'hada_t1' | 'hada_t2')
  | ('lokr_w1' | 'lokr_w1_a' | 'lokr_w1_b' | 'lokr_w2' | 'lokr_w2_a' | 'lokr_w2_b' | 'lokr_t2')
  | ('oft_blocks' | 'oft_diag' | 'rescale')
  | ('weight' | 'on_input')
  | ('diff' | 'diff_b' | 'w_norm' | 'b_norm');

export interface LoraKey {
  /** Name of the layer as the file spells it: `lora_unet_mid_block_...` or `unet.mid_block....` */
  readonly layer: string;
  readonly role: LoraRole;
}

/** Factors under each spelling. PEFT inserts the name of the adapter, diffusers does not. */
const FACTORS: readonly RegExp[] = [
  /^(.+)\.lora_(up|down|mid)\.weight$/,
  /^(.+)\.lora_([AB])(?:\.[^.]+)?\.weight$/,
  /^(.+)\.lora\.(up|down)\.weight$/,
  /^(.+)\.lora_linear_layer\.(up|down)\.weight$/,
];
/** diffusers before 0.22 stored factors under the attention processor, or under the layer of a text encoder's attention. */
const PROCESSOR = /^(.+?)(?:\.processor)?\.to_(q|k|v|out)_lora\.(up|down)\.weight$/;
const FACTOR_ROLES: Readonly<Record<string, LoraRole>> = {
  A: 'lora_down',
  B: 'lora_up',
  up: 'lora_up',
  down: 'lora_down',
  mid: 'lora_mid',
};
/** Magnitudes of DoRA: LyCORIS and kohya; diffusers and PEFT, whose magnitudes are always of output rows. */
const MAGNITUDE = /^(.+)\.(dora_scale|lora_magnitude_vector)(?:\.[^.]+)?(?:\.weight)?$/;
const LEAF =
  /^(.+)\.(alpha|hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2)|oft_blocks|oft_diag|rescale|on_input|diff|diff_b|w_norm|b_norm)$/;
const WEIGHT = /^(.+)\.weight$/;

/**
 * Returns null for a tensor that belongs to no adapter.
 * @param scaled modules with IA3, whose factors are called `weight` (see `scaledModules`)
 */
export function readLoraKey(name: string, scaled: ReadonlySet<string> = new Set()): LoraKey | null {
  const [, attention, projection, factor] = PROCESSOR.exec(name) ?? [];
  if (attention !== undefined && projection !== undefined && factor !== undefined) {
    const own = projection === 'out' ? 'to_out.0' : `to_${projection}`;
    const layer = `${attention}.${attention.endsWith('self_attn') ? `${projection}_proj` : own}`;
    return key(layer, FACTOR_ROLES[factor]!);
  }
  for (const form of FACTORS) {
    const [, layer, which] = form.exec(name) ?? [];
    if (layer !== undefined && which !== undefined) return key(layer, FACTOR_ROLES[which]!);
  }
  const [, magnified, magnitude] = MAGNITUDE.exec(name) ?? [];
  if (magnified !== undefined) return key(magnified, magnitude as LoraRole);
  const [, layer, leaf] = LEAF.exec(name) ?? [];
  if (layer !== undefined) return key(layer, leaf as LoraRole);
  const [, module] = WEIGHT.exec(name) ?? [];
  return module !== undefined && scaled.has(module) ? key(module, 'weight') : null;
}

/** The modules that a file changes by IA3: those with a flag `on_input`. */
export function scaledModules(names: Iterable<string>): ReadonlySet<string> {
  const suffix = '.on_input';
  return new Set([...names].flatMap((name) => (name.endsWith(suffix) ? name.slice(0, -suffix.length) : [])));
}

/** PEFT's files name the model that PEFT wraps. */
function key(layer: string, role: LoraRole): LoraKey {
  const wrapper = 'base_model.model.';
  return { layer: layer.startsWith(wrapper) ? layer.slice(wrapper.length) : layer, role };
}

const UNSUPPORTED: readonly (readonly [pattern: RegExp, form: string])[] = [
  [/\.(oft|boft)_[RS](\..+)?$/, "PEFT's OFT or BOFT"],
  [/\.ia3_l(\..+)?$/, "PEFT's IA3"],
  [/\.[ab][12]\.weight$/, 'GLoRA'],
];

/** Returns the form of adapter that a tensor belongs to if it is not supported. */
export function unsupportedForm(name: string): string | undefined {
  return UNSUPPORTED.find(([pattern]) => pattern.test(name))?.[1];
}
