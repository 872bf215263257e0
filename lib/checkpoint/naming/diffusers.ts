/** diffusers' naming, which is canonical except for the attention blocks of files saved before mid 2023. */
import { isAutoencoderParameter, isUNetParameter } from './canonical.js';
import type { CanonicalPart, Naming } from './naming.js';

const OLD_ATTENTION: readonly (readonly [old: string, now: string])[] = [
  ['query', 'to_q'],
  ['key', 'to_k'],
  ['value', 'to_v'],
  ['proj_attn', 'to_out.0'],
];

/** @param names all names of the file, which determine the version of the attention blocks */
export function diffusersUNetNaming(names: Iterable<string>): Naming {
  return diffusersNaming(names, isUNetParameter);
}

/** @param names all names of the file, which determine the version of the attention blocks */
export function diffusersAutoencoderNaming(names: Iterable<string>): Naming {
  return diffusersNaming(names, isAutoencoderParameter);
}

function diffusersNaming(names: Iterable<string>, isParameter: (name: string) => boolean): Naming {
  let old = false;
  for (const name of names) old ||= /\.attentions\.\d+\.query\.weight$/.test(name);
  const rename = (name: string, pairs: readonly (readonly [string, string])[]): string => {
    for (const [from, to] of pairs) {
      const at = name.lastIndexOf(`.${from}.`);
      if (at >= 0 && /\.attentions\.\d+$/.test(name.slice(0, at))) {
        return `${name.slice(0, at)}.${to}.${name.slice(at + from.length + 2)}`;
      }
    }
    return name;
  };
  const backwards = OLD_ATTENTION.map(([was, now]) => [now, was] as const);
  return {
    dialect: old ? 'diffusers (attention as query, key, value)' : 'diffusers',
    canonical: (source): CanonicalPart[] => {
      const name = old ? rename(source, OLD_ATTENTION) : source;
      return isParameter(name) ? [{ name }] : [];
    },
    source: (canonical) => (old ? rename(canonical, backwards) : canonical),
  };
}
