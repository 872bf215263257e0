/** Maps the tensor names of one kind of model file to canonical parameter names. */
export interface Naming {
  /** Name of the dialect, such as `ldm`; shown by `safelight inspect`. */
  readonly dialect: string;
  /**
   * Returns the canonical parameters in a tensor of the file: none if it is not a parameter, several if they are fused.
   */
  canonical(source: string, shape: readonly number[]): readonly CanonicalPart[];
  /** Returns the tensor name of a canonical parameter in this dialect; for messages. */
  source(canonical: string): string;
}

export interface CanonicalPart {
  readonly name: string;
  /** Extracts the parameter from the source tensor; undefined if it is the complete tensor. */
  readonly transform?:
    | { readonly op: 'rows'; readonly start: number; readonly end: number; readonly groups?: number }
    | { readonly op: 'transpose' };
}

/**
 * A bijective table of module paths. A path also maps everything below it: `time_embed.0` -> `time_embedding.linear_1`
 * renames `time_embed.0.weight` too. The longest matching path applies.
 */
export class NameTable {
  private readonly forward = new Map<string, string>();
  private readonly back = new Map<string, string>();

  add(source: string, canonical: string): this {
    this.forward.set(source, canonical);
    this.back.set(canonical, source);
    return this;
  }

  /** Adds `source.x` -> `canonical.y` for every pair of leaf names. */
  addEach(
    source: string,
    canonical: string,
    leaves: readonly (readonly [source: string, canonical: string])[],
  ): this {
    for (const [from, to] of leaves) this.add(`${source}.${from}`, `${canonical}.${to}`);
    return this;
  }

  canonical(source: string): string | null {
    return renamed(this.forward, source);
  }

  source(canonical: string): string | null {
    return renamed(this.back, canonical);
  }
}

function renamed(table: ReadonlyMap<string, string>, name: string): string | null {
  for (let cut = name.length; cut > 0; cut = name.lastIndexOf('.', cut - 1)) {
    const mapped = table.get(name.slice(0, cut));
    if (mapped !== undefined) return mapped + name.slice(cut);
  }
  return null;
}

/**
 * Counts the indices N of names `prefix.N...`: the number of consecutive ones from 0, the end (largest index plus one),
 * and whether indices are missing.
 */
export function countIndices(
  names: Iterable<string>,
  prefix: string,
): { count: number; end: number; gap: boolean } {
  const seen = new Set<number>();
  for (const name of names) {
    if (!name.startsWith(prefix)) continue;
    const index = /^(0|[1-9]\d{0,5})(\.|$)/.exec(name.slice(prefix.length));
    if (index !== null) seen.add(Number(index[1]));
  }
  let count = 0;
  while (seen.has(count)) count++;
  let end = count;
  for (const index of seen) end = Math.max(end, index + 1);
  return { count, end, gap: end > count };
}
