import { describe, expect, it } from 'vitest';
import { type Warning, Warnings } from '../lib/warnings.js';

describe('Warnings', () => {
  it('reports each distinct warning once, as it occurs', () => {
    const reported: Warning[] = [];
    const warnings = new Warnings((warning) => reported.push(warning));
    warnings.add('PROMPT_SYNTAX', 'a');
    warnings.add('PROMPT_SYNTAX', 'a');
    warnings.add('PROMPT_SYNTAX', 'b');
    warnings.add('LARGE_IMAGE', 'a');
    expect(reported).toEqual([
      { code: 'PROMPT_SYNTAX', message: 'a' },
      { code: 'PROMPT_SYNTAX', message: 'b' },
      { code: 'LARGE_IMAGE', message: 'a' },
    ]);
    expect(warnings.list).toEqual(reported);
  });

  it('returns copies of its list', () => {
    const warnings = new Warnings();
    warnings.add('LARGE_IMAGE', 'a');
    warnings.list.pop();
    expect(warnings.list).toHaveLength(1);
  });
});
