import { describe, expect, it } from 'vitest';
import { gridParts, optionsOfCell } from '../../../lib/jobs/grid/options.js';

const job = {
  ...{ prompt: 'a red apple', seed: 5, sTmax: 'Infinity', init: { file: 'init' } },
  ...{ x: 'steps=1,2', z: 'hires-scale=1.5,2' },
  ...{ cells: [{ cell: 1, file: 'cell-1' }], continues: 'earlier' },
};

describe('gridParts', () => {
  it('separates the axes and the continued job from the options of cells', () => {
    expect(gridParts(job)).toEqual({
      axes: { x: 'steps=1,2', z: 'hires-scale=1.5,2' },
      options: { prompt: 'a red apple', seed: 5, sTmax: 'Infinity', init: { file: 'init' } },
      finished: [{ cell: 1, file: 'cell-1' }],
      continues: 'earlier',
    });
  });
});

describe('optionsOfCell', () => {
  it('are those of a job of one image', () => {
    expect(optionsOfCell(job, 3)).toEqual({
      ...{ prompt: 'a red apple', seed: 5, sTmax: 'Infinity', init: { file: 'init' } },
      ...{ steps: 2, hires: { scale: 2 } },
    });
  });

  it('are rejected for axes that a newer version wrote', () => {
    expect(() => optionsOfCell({ ...job, x: 'unknown=1' }, 0)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    );
  });
});
