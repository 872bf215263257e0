/** Finds a U-Net and its naming in a file: complete checkpoints, U-Nets extracted from them, and diffusers' own. */
import { diffusersUNetNaming } from './diffusers.js';
import type { LdmAttention } from './ldm-attention.js';
import { ldmUNetNaming } from './ldm-unet.js';
import type { Naming } from './naming.js';

export interface UNetLocation {
  /** Prefix of its names with the dot. */
  readonly prefix: string;
  readonly names: 'ldm' | 'diffusers';
}

/** Prefixes by precedence: complete checkpoints, ComfyUI, trainers, none. */
const PREFIXES = ['model.diffusion_model.', 'diffusion_model.', 'unet.', 'model.', ''];

/** @returns null if there is no U-Net in the file */
export function findUNet(tensors: Iterable<string>): UNetLocation | null {
  const names = [...tensors];
  const has = (start: string): boolean => names.some((name) => name.startsWith(start));
  for (const prefix of PREFIXES) {
    if (has(`${prefix}input_blocks.`)) return { prefix, names: 'ldm' };
    if (has(`${prefix}down_blocks.`) && has(`${prefix}mid_block.`)) return { prefix, names: 'diffusers' };
  }
  // A checkpoint without other recognizable blocks.
  return has('model.diffusion_model.') ? { prefix: 'model.diffusion_model.', names: 'ldm' } : null;
}

/** @throws as `ldmUNetNaming` */
export function unetNaming(
  { prefix, names: form }: UNetLocation,
  names: Iterable<string>,
  path: string,
  attention?: LdmAttention,
): Naming {
  if (form === 'ldm') return ldmUNetNaming(names, prefix, path, attention);
  const naming = diffusersUNetNaming(names);
  if (prefix === '') return naming;
  return {
    dialect: naming.dialect,
    canonical: (source, shape) =>
      source.startsWith(prefix) ? naming.canonical(source.slice(prefix.length), shape) : [],
    source: (canonical) => prefix + naming.source(canonical),
  };
}
