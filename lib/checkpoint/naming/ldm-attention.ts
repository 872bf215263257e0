/** CompVis' attention block (`norm`, `qkv`, `proj_out`), with query, key and value of all heads in one matrix. */
import { defined } from '../../defined.js';
import type { CanonicalPart } from './naming.js';

/** Properties of the block that its tensors do not determine. */
export interface LdmAttention {
  /** Returns the number of heads for a number of channels. */
  heads(channels: number): number;
  /**
   * True if query, key and value are split first and then into heads (`use_new_attention_order`); false if heads are
   * split first, so that the query, key and value of each head are adjacent.
   */
  readonly newOrder: boolean;
}

const PARTS = ['to_q', 'to_k', 'to_v'] as const;

export const LDM_ATTENTION = [
  ['norm', 'group_norm'],
  ['qkv', 'qkv'],
  ['proj_out', 'to_out.0'],
] as const;

/**
 * Returns the three parameters in `PLACE.qkv.LEAF` of shape `[3 C, ...]`; an indivisible one is kept and fails the
 * shape check later.
 */
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

/** Returns the source of a part: `PLACE.qkv.weight` for `PLACE.to_k.weight`. */
export function inQkv(canonical: string): string {
  return canonical.replace(/\.to_[qkv]\.(weight|bias)$/, '.qkv.$1');
}
