/** What a caller is told while a pipeline works. */
import { defined } from '../defined.js';
import type { RgbImage } from '../tensor/render.js';

export interface Progress {
  readonly phase: 'load' | 'encode' | 'denoise' | 'codes' | 'decode';
  /** Done, of `steps`: bytes while loading, steps of all passes and batches while denoising, codes while writing, pictures while decoding. */
  readonly step: number;
  readonly steps: number;
  /** Seconds since the call began. */
  readonly elapsed: number;
  /** While denoising or writing: what the picture (of a batch, its first) looks like so far. Works only when it is called. */
  readonly preview?: () => Promise<RgbImage>;
}

export type OnProgress = (progress: Progress) => void;

/** Tells the progress of one call, timed from its creation. */
export class ProgressReporter {
  private readonly start = performance.now();

  constructor(private readonly onProgress: OnProgress | undefined) {}

  get elapsed(): number {
    return (performance.now() - this.start) / 1000;
  }

  report(phase: Progress['phase'], step: number, steps: number, preview?: () => Promise<RgbImage>): void {
    this.onProgress?.(defined({ phase, step, steps, elapsed: this.elapsed, preview }));
  }
}
