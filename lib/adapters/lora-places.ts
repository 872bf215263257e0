/**
 * Places of a model's weights under every name that LoRA files give them. kohya's trainer replaces the dots of a name by underscores, which
 * cannot be undone (`to_out_0`, `transformer_blocks`), so names are made from the model's parameters and looked up.
 */
import type { WeightRequirement } from '../binding/types.js';
import type { UNetConfig } from '../checkpoint/config/types.js';
import { unetTable } from '../checkpoint/naming/ldm-unet.js';
import type { NameTable } from '../checkpoint/naming/naming.js';
import { openClipNaming } from '../checkpoint/naming/openclip.js';

export type AdaptedComponent = 'unet' | 'text_encoder' | 'text_encoder_2';

/** A module that LoRAs change. */
export interface AdaptedModule {
  readonly component: AdaptedComponent;
  /** Its parameters. */
  readonly requirements: readonly WeightRequirement[];
  /** The U-Net's config, which places its blocks in CompVis' flat lists. */
  readonly unet?: Pick<UNetConfig, 'layers_per_block' | 'up_attention'>;
}

/** A weight that factors in a file can be meant for. */
export interface LoraPlace {
  readonly component: AdaptedComponent;
  readonly target: string;
  readonly shape: readonly number[];
  /** The third of the file's rows that it takes, where the file has query, key and value in one. */
  readonly third?: 0 | 1 | 2;
}

/** Places by a file's name for them; several only for what a file has in one. */
export type LoraPlaces = ReadonlyMap<string, readonly LoraPlace[]>;

const FUSED = ['q_proj', 'k_proj', 'v_proj'] as const;

export function loraPlaces(modules: readonly AdaptedModule[]): LoraPlaces {
  const places = new Map<string, LoraPlace[]>();
  const encoders = modules.filter(({ component }) => component !== 'unet').length;
  for (const module of modules) {
    const table = module.unet && unetTable(module.unet.layers_per_block, module.unet.up_attention);
    for (const { name, shape, role } of module.requirements) {
      if ((role !== 'matrix' && role !== 'conv') || !name.endsWith('.weight')) continue;
      const { component } = module;
      const found = { component, target: name, shape };
      const own = name.slice(0, -'.weight'.length);
      const names = table ? unetNames(own, table) : textNames(own, component, encoders);
      for (const one of names) if (!places.has(one)) places.set(one, [found]);
      if (!table) addThird(places, found, own, encoders);
    }
  }
  return places;
}

function unetNames(own: string, table: NameTable): string[] {
  const ldm = table.source(own);
  const flat = ldm === null ? [] : [ldm, `diffusion_model.${ldm}`, `model.diffusion_model.${ldm}`];
  return [
    ...[own, `unet.${own}`, `lora_unet_${mangled(own)}`],
    ...[...flat, ...(ldm === null ? [] : [`lora_unet_${mangled(ldm)}`])],
  ];
}

function textNames(own: string, component: AdaptedComponent, encoders: number): string[] {
  const openClip = openClipNaming('', true).source(`${own}.weight`);
  const names = [
    own,
    own.replace(/^text_model\./, ''),
    ...(openClip.endsWith('.weight') ? [openClip.slice(0, -'.weight'.length)] : []),
  ];
  return names.flatMap((name) => spellings(name, component, encoders));
}

/** Under the dots of diffusers and PEFT, and under kohya's underscores. */
function spellings(name: string, component: AdaptedComponent, encoders: number): string[] {
  const first = component === 'text_encoder';
  const prefix = encoders === 1 ? 'lora_te_' : first ? 'lora_te1_' : 'lora_te2_';
  return [`${component}.${name}`, `${prefix}${mangled(name)}`, ...(first ? [name] : [])];
}

/** OpenCLIP has query, key and value in one matrix, `in_proj`. */
function addThird(places: Map<string, LoraPlace[]>, place: LoraPlace, own: string, encoders: number): void {
  const third = FUSED.findIndex((part) => own.endsWith(`.self_attn.${part}`));
  if (third < 0) return;
  const source = openClipNaming('', true)
    .source(`${own}.weight`)
    .replace(/_weight$/, '');
  for (const name of spellings(source, place.component, encoders)) {
    places.set(name, [...(places.get(name) ?? []), { ...place, third: third as 0 | 1 | 2 }]);
  }
}

function mangled(name: string): string {
  return name.replaceAll('.', '_');
}
