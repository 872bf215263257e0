/**
 * Maps layer names of LoRA files to a model's weights. kohya's trainer replaces the dots of a name by underscores,
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
  readonly unet?: Pick<UNetConfig, 'layers_per_block' | 'up_attention'>;
}

/** A weight to which a layer of a file can refer. */
export interface ModelLayer {
  readonly component: AdaptedComponent;
  readonly target: string;
  readonly shape: readonly number[];
  /** The part of the file's rows for this weight, if the file has query, key and value in one layer. */
  readonly third?: 0 | 1 | 2;
}

/** Weights by layer name; several if the file has them in one layer. */
export type ModelLayers = ReadonlyMap<string, readonly ModelLayer[]>;

const FUSED = ['q_proj', 'k_proj', 'v_proj'] as const;

export function modelLayers(modules: readonly AdaptedModule[]): ModelLayers {
  const layers = new Map<string, ModelLayer[]>();
  const encoders = modules.filter(({ component }) => component !== 'unet').length;
  for (const module of modules) {
    const table = module.unet && unetTable(module.unet.layers_per_block, module.unet.up_attention);
    for (const { name, shape, role } of module.requirements) {
      if ((role !== 'matrix' && role !== 'conv') || !name.endsWith('.weight')) continue;
      const { component } = module;
      const layer = { component, target: name, shape };
      const path = name.slice(0, -'.weight'.length);
      const names = table ? unetNames(path, table) : textNames(path, component, encoders);
      for (const spelling of names) if (!layers.has(spelling)) layers.set(spelling, [layer]);
      if (!table) addThird(layers, layer, path, encoders);
    }
  }
  return layers;
}

function unetNames(path: string, table: NameTable): string[] {
  const ldm = table.source(path);
  const flat = ldm === null ? [] : [ldm, `diffusion_model.${ldm}`, `model.diffusion_model.${ldm}`];
  return [
    ...[path, `unet.${path}`, `lora_unet_${mangled(path)}`],
    ...[...flat, ...(ldm === null ? [] : [`lora_unet_${mangled(ldm)}`])],
  ];
}

function textNames(path: string, component: AdaptedComponent, encoders: number): string[] {
  const openClip = openClipNaming('', true).source(`${path}.weight`);
  const names = [
    path,
    path.replace(/^text_model\./, ''),
    ...(openClip.endsWith('.weight') ? [openClip.slice(0, -'.weight'.length)] : []),
  ];
  return names.flatMap((name) => spellings(name, component, encoders));
}

/** Returns the names with the dots of diffusers and PEFT, and with kohya's underscores. */
function spellings(name: string, component: AdaptedComponent, encoders: number): string[] {
  const first = component === 'text_encoder';
  const prefix = encoders === 1 ? 'lora_te_' : first ? 'lora_te1_' : 'lora_te2_';
  return [`${component}.${name}`, `${prefix}${mangled(name)}`, ...(first ? [name] : [])];
}

/** Adds OpenCLIP's fused `in_proj` of query, key and value. */
function addThird(
  layers: Map<string, ModelLayer[]>,
  layer: ModelLayer,
  path: string,
  encoders: number,
): void {
  const third = FUSED.findIndex((part) => path.endsWith(`.self_attn.${part}`));
  if (third < 0) return;
  const source = openClipNaming('', true)
    .source(`${path}.weight`)
    .replace(/_weight$/, '');
  for (const name of spellings(source, layer.component, encoders)) {
    layers.set(name, [...(layers.get(name) ?? []), { ...layer, third: third as 0 | 1 | 2 }]);
  }
}

function mangled(name: string): string {
  return name.replaceAll('.', '_');
}
