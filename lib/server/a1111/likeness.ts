/** Names that resemble one that there is not. */

/** All names, the most similar first, and those that may have been meant. */
export function mostAlike(
  wanted: string,
  names: readonly string[],
): { readonly near: string[]; readonly all: string[] } {
  const ranked = names
    .map((name) => ({ name, likeness: likeness(wanted.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => b.likeness - a.likeness);
  const near = ranked.filter((one) => one.likeness >= 0.5).slice(0, 3);
  return { near: near.map(({ name }) => name), all: ranked.map(({ name }) => name) };
}

/** The share of pairs of letters that two names have in common (Dice's coefficient), or 1 where one holds the other. */
function likeness(a: string, b: string): number {
  if (a.length > 2 && b.length > 2 && (a.includes(b) || b.includes(a))) return 1;
  const [pairsOfA, pairsOfB] = [pairs(a), pairs(b)];
  const shared = [...pairsOfA].filter((pair) => pairsOfB.has(pair)).length;
  return (2 * shared) / Math.max(1, pairsOfA.size + pairsOfB.size);
}

function pairs(text: string): Set<string> {
  return new Set(Array.from({ length: Math.max(0, text.length - 1) }, (_, i) => text.slice(i, i + 2)));
}
