/** How one family of model files names its parameters. */
export interface Naming {
  /** Such as `ldm`; shown by `safelight inspect`. */
  readonly dialect: string;
  /** The canonical parameters that a tensor of the file holds: none if it is no parameter, several if they are fused in it. */
  canonical(source: string, shape: readonly number[]): readonly CanonicalPart[];
  /** Where this dialect keeps a canonical parameter; for messages. */
  source(canonical: string): string;
}

export interface CanonicalPart {
  readonly name: string;
  /** How to get the parameter out of the source tensor; nothing if it is the whole of it. */
  readonly transform?:
    | { readonly op: 'rows'; readonly start: number; readonly end: number; readonly groups?: number }
    | { readonly op: 'transpose' };
}

/**
 * A one-to-one table of places in the tree of parameters. A place stands for everything below it: `time_embed.0` ->
 * `time_embedding.linear_1` also renames `time_embed.0.weight`. The longest matching place decides.
 */
export class PlaceTable {
  private readonly there = new Map<string, string>();
  private readonly back = new Map<string, string>();

  add(source: string, canonical: string): this {
    this.there.set(source, canonical);
    this.back.set(canonical, source);
    return this;
  }

  /** Adds `source.x` -> `canonical.y` for every pair of leaves. */
  addEach(
    source: string,
    canonical: string,
    leaves: readonly (readonly [source: string, canonical: string])[],
  ): this {
    for (const [from, to] of leaves) this.add(`${source}.${from}`, `${canonical}.${to}`);
    return this;
  }

  canonical(source: string): string | null {
    return renamed(this.there, source);
  }

  source(canonical: string): string | null {
    return renamed(this.back, canonical);
  }
}

function renamed(table: ReadonlyMap<string, string>, name: string): string | null {
  for (let cut = name.length; cut > 0; cut = name.lastIndexOf('.', cut - 1)) {
    const found = table.get(name.slice(0, cut));
    if (found !== undefined) return found + name.slice(cut);
  }
  return null;
}

/**
 * The numbers N of names `prefix.N...`: how many follow each other from 0 on, the end of all (one past the largest), and whether some
 * are missing before it.
 */
export function countPlaces(
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
