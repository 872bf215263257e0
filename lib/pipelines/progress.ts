/** Progress of pipeline calls. */
import { defined } from '../defined.js';
import type { RgbImage } from '../tensor/render.js';

export interface Progress {
  readonly phase: 'load' | 'encode' | 'denoise' | 'codes' | 'decode';
  /**
   * Units done, of `steps`: bytes in phase `load`, steps of all passes and batches in `denoise`, codes in `codes`,
   * images in `decode`.
   */
  readonly step: number;
  readonly steps: number;
  /** Seconds since the start of the call. */
  readonly elapsed: number;
  /** In phases `denoise` and `codes`: renders a preview of the (first) image of the batch when called. */
  readonly preview?: () => Promise<RgbImage>;
}

export type OnProgress = (progress: Progress) => void;

/** Reports the progress of a call, with the time since its creation. */
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
