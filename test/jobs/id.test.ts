import { describe, expect, it } from 'vitest';
import { isId, newId } from '../../lib/jobs/id.js';

describe('the ids of jobs', () => {
  it('sort by when they were made, also those of one millisecond', () => {
    const ids = Array.from({ length: 5000 }, () => newId());
    expect(new Set(ids.map((id) => id.slice(0, 12))).size).toBeLessThan(ids.length);
    expect([...ids].sort()).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.every(isId)).toBe(true);
  });
});
