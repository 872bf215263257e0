/** A1111's styles: `styles.csv` in the data folder. */
import type { Style } from '../../jobs/styles.js';
import { failure } from './failures.js';

export { type Style, styled } from '../../jobs/styles.js';
export { readStyles } from '../styles.js';

/** The styles of these names. @throws 422 for a name that there is not */
export function stylesNamed(all: readonly Style[], names: readonly string[]): Style[] {
  return names
    .filter((name) => name !== '' && name !== 'None')
    .map((name) => {
      const found = all.find((style) => style.name === name);
      if (found) return found;
      throw failure(
        422,
        `styles: there is no style ${JSON.stringify(name.slice(0, 100))}; they are read from styles.csv in the data folder`,
      );
    });
}
