/** Ranks names by their similarity to an unknown name. */

/** Returns all names, most similar first, and up to three that may have been intended. */
export function rankBySimilarity(
  unknown: string,
  names: readonly string[],
): { readonly near: string[]; readonly all: string[] } {
  const ranked = names
    .map((name) => ({ name, similarity: similarity(unknown.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => b.similarity - a.similarity);
  const near = ranked.filter((candidate) => candidate.similarity >= 0.5).slice(0, 3);
  return { near: near.map(({ name }) => name), all: ranked.map(({ name }) => name) };
}

/** Returns Dice's coefficient of the letter pairs of two names, or 1 if one contains the other. */
function similarity(a: string, b: string): number {
  if (a.length > 2 && b.length > 2 && (a.includes(b) || b.includes(a))) return 1;
  const [pairsOfA, pairsOfB] = [pairs(a), pairs(b)];
  const shared = [...pairsOfA].filter((pair) => pairsOfB.has(pair)).length;
  return (2 * shared) / Math.max(1, pairsOfA.size + pairsOfB.size);
}

function pairs(text: string): Set<string> {
  return new Set(Array.from({ length: Math.max(0, text.length - 1) }, (_, i) => text.slice(i, i + 2)));
}
