/** Patterns of wildcard names. */

/**
 * Returns true if a name matches a pattern: `*` stands for any characters except `/`, `**` for any characters, `?` for
 * one except `/`. Uppercase and lowercase letters differ. Takes at most time proportional to the product of the
 * lengths.
 */
export function matchesGlob(pattern: string, name: string): boolean {
  let states = closure(pattern, new Set([0]));
  for (const character of name) {
    const next = new Set<number>();
    for (const state of states) {
      const at = pattern[state];
      const stays = at === '*' && (pattern[state + 1] === '*' || character !== '/');
      if (stays) next.add(state);
      else if (at === '?' ? character !== '/' : pattern.startsWith(character, state))
        next.add(state + (at === '?' ? 1 : character.length));
    }
    states = closure(pattern, next);
    if (states.size === 0) return false;
  }
  return states.has(pattern.length);
}

/** Adds the positions that are reached without a character: `*` and `**` may stand for nothing. */
function closure(pattern: string, states: Set<number>): Set<number> {
  // A set is iterated in order of insertion, including what is added meanwhile.
  for (const state of states) {
    if (pattern[state] !== '*') continue;
    states.add(state + (pattern[state + 1] === '*' ? 2 : 1));
  }
  return states;
}

/** Returns true for a name with characters of a pattern. */
export function isGlob(name: string): boolean {
  return /[*?]/.test(name);
}
