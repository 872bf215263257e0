/** A1111's styles: `styles.csv` in the data folder. */
import type { Style } from '../../conditioning/styles.js';
import { failure } from './failures.js';

export { type Style, styled } from '../../conditioning/styles.js';
export { readStyles } from '../styles.js';

/** Returns the styles with these names. @throws 422 for an unknown name */
export function stylesNamed(all: readonly Style[], names: readonly string[]): Style[] {
  return names
    .filter((name) => name !== '' && name !== 'None')
    .map((name) => {
      const style = all.find((candidate) => candidate.name === name);
      if (style) return style;
      throw failure(
        422,
        `styles: no style is named ${JSON.stringify(name.slice(0, 100))}; styles are read from styles.csv in the data folder`,
      );
    });
}
