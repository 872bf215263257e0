/**
 * The modules of a model under every name that LoRA files give them. kohya's trainer replaces the dots of a name by underscores, which
 * cannot be undone (`to_out_0`, `transformer_blocks`), so names are made from the model's parameters and looked up.
 */
import type { WeightRequirement } from '../binding/types.js';
import type { UNetConfig } from '../checkpoint/config/types.js';
import { unetTable } from '../checkpoint/naming/ldm-unet.js';
import type { PlaceTable } from '../checkpoint/naming/naming.js';
import { openClipNaming } from '../checkpoint/naming/openclip.js';

export type AdaptedComponent = 'unet' | 'text_encoder' | 'text_encoder_2';

/** A native module that LoRAs change. */
export interface AdaptedModule {
  readonly component: AdaptedComponent;
  /** Its parameters. */
  readonly requirements: readonly WeightRequirement[];
  /** The U-Net's config, which determines the numbering of blocks in CompVis' names. */
  readonly unet?: Pick<UNetConfig, 'layers_per_block' | 'up_attention'>;
}

/** A layer (linear layer, convolution or norm) that tensors of a file can change. */
export interface LoraPlace {
  readonly component: AdaptedComponent;
  /** Canonical name, without `.weight`. */
  readonly name: string;
  /** Shape of its weight; one dimension for a norm. */
  readonly shape: readonly number[];
  readonly hasBias: boolean;
  /** Index of the third of the rows that belongs to it, if the file has query, key and value in one matrix. */
  readonly third?: 0 | 1 | 2;
}

/** Places by a file's name for them; several only for matrices that the model splits. */
export type LoraPlaces = ReadonlyMap<string, readonly LoraPlace[]>;

const FUSED = ['q_proj', 'k_proj', 'v_proj'] as const;

export function loraPlaces(modules: readonly AdaptedModule[]): LoraPlaces {
  const places = new Map<string, LoraPlace[]>();
  const encoders = modules.filter(({ component }) => component !== 'unet').length;
  for (const { component, unet, requirements } of modules) {
    const table = unet && unetTable(unet.layers_per_block, unet.up_attention);
    const biases = new Set(requirements.filter(({ name }) => name.endsWith('.bias')).map(({ name }) => name));
    for (const { name: parameter, shape, role } of requirements) {
      if (role === 'embedding' || !parameter.endsWith('.weight')) continue;
      const name = parameter.slice(0, -'.weight'.length);
      const place = { component, name, shape, hasBias: biases.has(`${name}.bias`) };
      const names = table ? unetNames(name, table) : textNames(name, component, encoders);
      for (const spelling of names) if (!places.has(spelling)) places.set(spelling, [place]);
      if (!table) addThird(places, place, encoders);
    }
  }
  return places;
}

function unetNames(name: string, table: PlaceTable): string[] {
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
function addThird(places: Map<string, LoraPlace[]>, place: LoraPlace, encoders: number): void {
  const third = FUSED.findIndex((part) => place.name.endsWith(`.self_attn.${part}`));
  if (third < 0) return;
  const source = openClipNaming('', true)
    .source(`${place.name}.weight`)
    .replace(/_weight$/, '');
  for (const name of spellings(source, place.component, encoders)) {
    places.set(name, [...(places.get(name) ?? []), { ...place, third: third as 0 | 1 | 2 }]);
  }
}

function mangled(name: string): string {
  return name.replaceAll('.', '_');
}
