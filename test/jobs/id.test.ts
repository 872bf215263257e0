import { describe, expect, it } from 'vitest';
import { isId, newId } from '../../lib/jobs/id.js';

describe('job ids', () => {
  it('sort by creation time, even within one millisecond', () => {
    const ids = Array.from({ length: 5000 }, () => newId());
    expect(new Set(ids.map((id) => id.slice(0, 12))).size).toBeLessThan(ids.length);
    expect([...ids].sort()).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.every(isId)).toBe(true);
  });
});
