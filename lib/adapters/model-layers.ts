/**
 * Maps layer names of LoRA files to a model's layers. kohya's trainer replaces the dots of a name by underscores,
 * which cannot be reversed (`to_out_0`, `transformer_blocks`), so the names are generated from the model's parameters.
 */
import type { WeightRequirement } from '../binding/types.js';
import type { UNetConfig } from '../checkpoint/config/types.js';
import { unetTable } from '../checkpoint/naming/ldm-unet.js';
import type { NameTable } from '../checkpoint/naming/naming.js';
import { openClipNaming } from '../checkpoint/naming/openclip.js';

export type AdaptedComponent = 'unet' | 'text_encoder' | 'text_encoder_2';

/** A module that LoRAs can change. */
export interface AdaptedModule {
  readonly component: AdaptedComponent;
  /** Its parameters. */
  readonly requirements: readonly WeightRequirement[];
  /** The U-Net's config, which determines the indices of CompVis' flat lists of blocks. */
  readonly unet?: Pick<UNetConfig, 'layers_per_block' | 'up_attention' | 'cross_attention_dim'>;
}

/** A layer (linear layer, convolution or norm) that tensors of a file can change. */
export interface ModelLayer {
  readonly component: AdaptedComponent;
  /** Canonical name, without `.weight`. */
  readonly name: string;
  /** Shape of its weight; one dimension for a norm. */
  readonly shape: readonly number[];
  readonly hasBias: boolean;
  /** Index of the third of the rows that belongs to it, if the file has query, key and value in one matrix. */
  readonly third?: 0 | 1 | 2;
}

/** Layers by the name that a file gives them; several if the file has them in one matrix. */
export type ModelLayers = ReadonlyMap<string, readonly ModelLayer[]>;

const FUSED = ['q_proj', 'k_proj', 'v_proj'] as const;

export function modelLayers(modules: readonly AdaptedModule[]): ModelLayers {
  const layers = new Map<string, ModelLayer[]>();
  const encoders = modules.filter(({ component }) => component !== 'unet').length;
  for (const { component, unet, requirements } of modules) {
    const table = unet && unetTable(unet.layers_per_block, unet.up_attention);
    const biases = new Set(requirements.filter(({ name }) => name.endsWith('.bias')).map(({ name }) => name));
    for (const { name: parameter, shape, role } of requirements) {
      if (role === 'embedding' || !parameter.endsWith('.weight')) continue;
      const name = parameter.slice(0, -'.weight'.length);
      const layer = { component, name, shape, hasBias: biases.has(`${name}.bias`) };
      const names = table ? unetNames(name, table) : textNames(name, component, encoders);
      for (const spelling of names) if (!layers.has(spelling)) layers.set(spelling, [layer]);
      if (!table) addThird(layers, layer, encoders);
    }
  }
  return layers;
}

function unetNames(name: string, table: NameTable): string[] {
  const ldm = table.source(name);
  const flat = ldm === null ? [] : [ldm, `diffusion_model.${ldm}`, `model.diffusion_model.${ldm}`];
  return [
    ...[name, `unet.${name}`, `lora_unet_${mangled(name)}`, `lycoris_${mangled(name)}`],
    ...[...flat, ...(ldm === null ? [] : [`lora_unet_${mangled(ldm)}`])],
  ];
}

function textNames(name: string, component: AdaptedComponent, encoders: number): string[] {
  const openClip = openClipNaming('', true).source(`${name}.weight`);
  const names = [
    name,
    name.replace(/^text_model\./, ''),
    ...(openClip.endsWith('.weight') ? [openClip.slice(0, -'.weight'.length)] : []),
  ];
  return names.flatMap((spelling) => spellings(spelling, component, encoders));
}

/** The names with diffusers' and PEFT's dots and with kohya's underscores. */
function spellings(name: string, component: AdaptedComponent, encoders: number): string[] {
  const first = component === 'text_encoder';
  const prefix = encoders === 1 ? 'lora_te_' : first ? 'lora_te1_' : 'lora_te2_';
  return [`${component}.${name}`, `${prefix}${mangled(name)}`, ...(first ? [name] : [])];
}

/** OpenCLIP stores query, key and value in one matrix, `in_proj`. */
function addThird(layers: Map<string, ModelLayer[]>, layer: ModelLayer, encoders: number): void {
  const third = FUSED.findIndex((part) => layer.name.endsWith(`.self_attn.${part}`));
  if (third < 0) return;
  const source = openClipNaming('', true)
    .source(`${layer.name}.weight`)
    .replace(/_weight$/, '');
  for (const name of spellings(source, layer.component, encoders)) {
    layers.set(name, [...(layers.get(name) ?? []), { ...layer, third: third as 0 | 1 | 2 }]);
  }
}

function mangled(name: string): string {
  return name.replaceAll('.', '_');
}
