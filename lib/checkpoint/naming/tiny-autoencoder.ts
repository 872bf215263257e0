/**
 * The namings of tiny autoencoders (TAESD): diffusers' `encoder.layers.N` and `decoder.layers.N`, which are canonical,
 * and the original lists of layers `N`, alone in a file or under a prefix. The original decoder counts its first
 * operation, which has no parameters, so its indices are one larger.
 */
import type { TensorIndex } from '../weights/tensor-index.js';
import type { CanonicalPart, Naming } from './naming.js';

export type TinyHalf = 'encoder' | 'decoder';

/** Largest number of layers of a half, far above real ones. */
export const MOST_TINY_LAYERS = 256;

const PARAMETER =
  /^(?:weight|bias|conv\.[024]\.(?:weight|bias)|skip\.weight|pool\.[03]\.weight|pool\.1\.(?:weight|bias))$/;

/** The location of a half among tensors. */
interface Location {
  readonly half: TinyHalf;
  /** Prefix of its names with the dot; empty for a file that contains only this half. */
  readonly prefix: string;
  /** Difference of its indices to diffusers'. */
  readonly offset: 0 | 1;
}

const PREFIXES: readonly (readonly [prefix: string, half: TinyHalf])[] = [
  ['encoder.layers.', 'encoder'],
  ['decoder.layers.', 'decoder'],
  ['encoder.', 'encoder'],
  ['decoder.', 'decoder'],
  ['taesd_encoder.', 'encoder'],
  ['taesd_decoder.', 'decoder'],
];

/** Returns the halves of a tiny autoencoder among tensors; empty if there are none. */
export function tinyHalves(tensors: TensorIndex): TinyHalf[] {
  return locate(tensors).map(({ half }) => half);
}

/** Returns the naming of a file's tensors; null if they are not those of a tiny autoencoder. */
export function tinyAutoencoderNaming(tensors: TensorIndex): Naming | null {
  const locations = locate(tensors);
  const [first] = locations;
  if (first === undefined) return null;
  return {
    dialect: first.prefix.endsWith('.layers.') ? 'diffusers' : 'taesd',
    canonical: (source): CanonicalPart[] => {
      for (const { half, prefix, offset } of locations) {
        const [, index, rest] = (source.startsWith(prefix) && split(source.slice(prefix.length))) || [];
        if (index === undefined || rest === undefined) continue;
        const layer = Number(index) - offset;
        if (layer >= 0 && layer < MOST_TINY_LAYERS && PARAMETER.test(rest))
          return [{ name: `${half}.layers.${layer}.${rest}` }];
      }
      return [];
    },
    source: (canonical) => {
      const [, half, index, rest] = /^(encoder|decoder)\.layers\.(\d+)\.(.*)$/.exec(canonical) ?? [];
      const place = locations.find((location) => location.half === half);
      return place ? `${place.prefix}${Number(index) + place.offset}.${rest}` : canonical;
    },
  };
}

/** Splits a name after its prefix into the index of a layer and the rest. */
function split(name: string): RegExpExecArray | null {
  return /^(0|[1-9]\d{0,3})\.(.+)$/.exec(name);
}

function locate(tensors: TensorIndex): Location[] {
  const under = (prefix: string): boolean => hasBlock(tensors, prefix);
  const locations = PREFIXES.filter(([prefix]) => under(prefix)).map(([prefix, half]) =>
    locationOf(tensors, prefix, half),
  );
  if (locations.length > 0) return locations;
  return under('') ? [locationOf(tensors, '', loneHalf(tensors))] : [];
}

function locationOf(tensors: TensorIndex, prefix: string, half: TinyHalf): Location {
  return { half, prefix, offset: half === 'decoder' && !tensors.has(`${prefix}0.weight`) ? 1 : 0 };
}

/** Returns true if there is a layer that is a block of convolutions. */
function hasBlock(tensors: TensorIndex, prefix: string): boolean {
  for (const name of tensors.keys())
    if (name.startsWith(prefix) && /^\d+\.conv\.0\.weight$/.test(name.slice(prefix.length))) return true;
  return false;
}

/**
 * Returns the half in a file without prefixes. Encoders begin, and decoders end, with a convolution of 3 channels; if
 * both or neither do, only an encoder has parameters at index 0.
 */
function loneHalf(tensors: TensorIndex): TinyHalf {
  const convolutions = [...tensors.values()]
    .map(({ name, shape }) => ({ index: Number(/^(\d+)\.weight$/.exec(name)?.[1] ?? Number.NaN), shape }))
    .filter(({ index }) => !Number.isNaN(index))
    .sort((a, b) => a.index - b.index);
  const readsImages = convolutions[0]?.shape[1] === 3;
  const writesImages = convolutions.at(-1)?.shape[0] === 3;
  if (readsImages !== writesImages) return readsImages ? 'encoder' : 'decoder';
  return tensors.has('0.weight') ? 'encoder' : 'decoder';
}
