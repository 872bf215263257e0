import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checksum, FIXTURES, readJson, type TinyModel } from '../../support/tiny-models.js';

describe('the tiny models of the whole-image fixtures', () => {
  const checksums = readJson<Record<TinyModel, string>>(join(FIXTURES, 'checksums.json'));
  it.each(Object.keys(checksums) as TinyModel[])('%s has the weights of the reference images', (model) => {
    expect(checksum(model)).toBe(checksums[model]);
  });
});
