/** Selection of styles by name; parsing and applying are tested over HTTP in test/server/api/styles.test.ts. */
import { describe, expect, it } from 'vitest';
import { parseStyles, styled, stylesNamed } from '../../lib/conditioning/styles.js';

const styles = parseStyles(
  'name,prompt,negative_prompt\nink,"{prompt}, ink",colour\nfilm,35 mm film,\nink,second,\ndark,,bright',
);

describe('stylesNamed', () => {
  it('returns styles in the order of the names; the first of several with one name counts', () => {
    const chosen = stylesNamed(styles, ['film', 'ink', 'film'], 'styles.csv');
    expect(chosen.map(({ prompt }) => prompt)).toEqual(['35 mm film', '{prompt}, ink', '35 mm film']);
    expect(
      styled(
        'a cat',
        stylesNamed(styles, ['film', 'ink'], 'x').map(({ prompt }) => prompt),
      ),
    ).toBe('a cat, 35 mm film, ink');
  });

  it('skips empty names and None', () => {
    expect(stylesNamed(styles, ['', 'None'], 'styles.csv')).toEqual([]);
  });

  it.each([
    ['inc', 'No style is named "inc" in /data/styles.csv, which has 3 styles; did you mean "ink"?'],
    [
      'watercolour',
      'No style is named "watercolour" in /data/styles.csv, which has 3 styles; correct the name or add the style',
    ],
  ])('rejects the unknown name %j with the file and a similar name', (name, message) => {
    expect(() => stylesNamed(styles, ['film', name], '/data/styles.csv')).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message }),
    );
  });
});
