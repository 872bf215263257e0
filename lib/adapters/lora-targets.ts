/** Kinds of layers that a LoRA changes, from its layer names alone: the model is not known. */
import { LDM_RESNET } from '../checkpoint/naming/ldm-unet.js';
import type { LoraPart } from './lora-file.js';
import type { AdaptedComponent } from './model-layers.js';

/** Prefixes of layer names; the longest that fits applies. */
const PREFIXES: readonly (readonly [prefix: string, component: AdaptedComponent])[] = [
  ['lora_unet_', 'unet'],
  ['lycoris_', 'unet'],
  ['unet.', 'unet'],
  ['diffusion_model.', 'unet'],
  ['model.diffusion_model.', 'unet'],
  ['lora_te_', 'text_encoder'],
  ['lora_te1_', 'text_encoder'],
  ['lora_te2_', 'text_encoder_2'],
  ['text_encoder.', 'text_encoder'],
  ['text_encoder_2.', 'text_encoder_2'],
];
/** Layers of text encoders without a prefix. */
const TEXT = /^(?:text_model|encoder\.layers|transformer\.resblocks)\b|\.self_attn\./;

/** Endings of layer names in diffusers and transformers. */
const ENDINGS = [
  ...['attn1', 'attn2'].flatMap((name) =>
    ['to_q', 'to_k', 'to_v', 'to_out.0'].map((own) => `${name}.${own}`),
  ),
  ...['ff.net.0.proj', 'ff.net.2', 'proj_in', 'proj_out'],
  ...['conv1', 'conv2', 'conv_shortcut', 'time_emb_proj', 'conv', 'conv_in', 'conv_out'],
  ...['norm', 'norm1', 'norm2', 'norm3', 'conv_norm_out'],
  ...['time_embedding', 'add_embedding'].flatMap((name) => [`${name}.linear_1`, `${name}.linear_2`]),
  ...['q_proj', 'k_proj', 'v_proj', 'out_proj'].map((name) => `self_attn.${name}`),
  ...['mlp.fc1', 'mlp.fc2', 'layer_norm1', 'layer_norm2', 'final_layer_norm', 'text_projection'],
];

/** Endings in CompVis' and OpenCLIP's names, with those of diffusers and transformers. */
const OTHER_ENDINGS: readonly (readonly [ending: string, canonical: string])[] = [
  ...LDM_RESNET,
  ...([
    ['op', 'conv'],
    ['input_blocks.0.0', 'conv_in'],
    ['out.0', 'conv_norm_out'],
    ['out.2', 'conv_out'],
    ['time_embed.0', 'time_embedding.linear_1'],
    ['time_embed.2', 'time_embedding.linear_2'],
    ['label_emb.0.0', 'add_embedding.linear_1'],
    ['label_emb.0.2', 'add_embedding.linear_2'],
    ['attn.in_proj', 'attn.in_proj'],
    ['attn.out_proj', 'self_attn.out_proj'],
    ['mlp.c_fc', 'mlp.fc1'],
    ['mlp.c_proj', 'mlp.fc2'],
    ['ln_1', 'layer_norm1'],
    ['ln_2', 'layer_norm2'],
  ] as const),
];

/** Canonical endings by their mangled form, longest first, since `out_proj` also ends `self_attn_out_proj`. */
const MANGLED = [...ENDINGS.map((ending) => [ending, ending] as const), ...OTHER_ENDINGS]
  .map(([ending, canonical]) => [ending.replaceAll('.', '_'), canonical] as const)
  .sort((a, b) => b[0].length - a[0].length);

/** Returns `component:ending` of every layer, sorted and distinct. */
export function targetsOf(parts: readonly LoraPart[]): string[] {
  return [...new Set(parts.map(({ layer }) => targetOf(layer)))].sort();
}

/** Returns the component that a layer name belongs to. */
export function componentOf(layer: string): AdaptedComponent {
  return split(layer)[0];
}

function targetOf(layer: string): string {
  const [component, name] = split(layer);
  const mangled = name.replaceAll('.', '_');
  const known = MANGLED.find(([ending]) => mangled === ending || mangled.endsWith(`_${ending}`))?.[1];
  return `${component}:${known ?? afterIndices(name)}`;
}

function split(layer: string): [component: AdaptedComponent, name: string] {
  const prefix = PREFIXES.filter(([text]) => layer.startsWith(text)).sort(
    (a, b) => b[0].length - a[0].length,
  )[0];
  if (prefix) return [prefix[1], layer.slice(prefix[0].length)];
  return [TEXT.test(layer) ? 'text_encoder' : 'unet', layer];
}

/** Removes everything up to the last index of a block, so that the same layer of all blocks is one kind. */
function afterIndices(name: string): string {
  return /^.*[._]\d+[._](.*?\D.*)$/.exec(name)?.[1] ?? name;
}
