import type { GenerateOptions } from '../options.js';

/** Options of one cell of a grid; how it is observed and ended is up to the grid. */
export type CellOptions = Omit<GenerateOptions, 'signal' | 'finish' | 'hurry' | 'onProgress' | 'onWarning'>;
