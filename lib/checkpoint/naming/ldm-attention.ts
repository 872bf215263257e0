/** CompVis' attention block (`norm`, `qkv`, `proj_out`), whose one matrix holds query, key and value of all heads. */
import { defined } from '../../defined.js';
import type { CanonicalPart } from './naming.js';

/** What the tensors do not tell of it. */
export interface LdmAttention {
  /** Into how many heads so many channels are divided. */
  heads(channels: number): number;
  /**
   * Whether query, key and value were split first and then each into heads (`use_new_attention_order`); else heads were split first, so
   * that each head's query, key and value lie together.
   */
  readonly newOrder: boolean;
}

const PARTS = ['to_q', 'to_k', 'to_v'] as const;

export const LDM_ATTENTION = [
  ['norm', 'group_norm'],
  ['qkv', 'qkv'],
  ['proj_out', 'to_out.0'],
] as const;

/** The three parameters in a `PLACE.qkv.LEAF` of shape `[3 C, ...]`; one whose rows do not divide is left whole, to be reported so. */
export function qkvParts(
  name: string,
  shape: readonly number[],
  attention: LdmAttention,
): readonly CanonicalPart[] {
  const match = /^(.*)\.qkv\.(weight|bias)$/.exec(name);
  if (match === null) return [{ name }];
  const [, place = '', leaf = ''] = match;
  const channels = (shape[0] ?? 0) / 3;
  const groups = attention.newOrder ? 1 : attention.heads(channels);
  const rows = channels / groups;
  return PARTS.map((part, i) =>
    defined({
      name: `${place}.${part}.${leaf}`,
      transform: Number.isInteger(rows)
        ? ({ op: 'rows', start: i * rows, end: (i + 1) * rows, groups } as const)
        : undefined,
    }),
  );
}

/** Where one of the three is kept: `PLACE.to_k.weight` in `PLACE.qkv.weight`. */
export function inQkv(canonical: string): string {
  return canonical.replace(/\.to_[qkv]\.(weight|bias)$/, '.qkv.$1');
}
