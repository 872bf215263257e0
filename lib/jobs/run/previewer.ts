/**
 * Previews of a running job as small WebP images: either as many as can be rendered without delaying the job,
 * or a requested number.
 */

import { defined } from '../../defined.js';
import { loadSharp } from '../../image/sharp.js';
import type { RgbImage } from '../../tensor/render.js';
import type { JobPreview, PreviewRequest } from '../types.js';

/** Longer side of a preview in pixels. */
const SIDE = 384;
/** Minimum milliseconds between the starts of two previews. */
const PAUSE = 300;

type Render = () => Promise<RgbImage>;

interface Frame {
  readonly step: number;
  readonly steps: number;
  readonly render: Render;
  readonly cell?: number | undefined;
}

export class Previewer {
  private readonly every: number;
  private readonly count: number | undefined;
  private readonly emit: (preview: JobPreview) => void;
  /**
   * Settles when the current preview is done; if a number of previews was requested, when all queued ones
   * are.
   */
  private busy: Promise<void> | undefined;
  private last = Number.NEGATIVE_INFINITY;
  private ended = false;
  private queued = 0;
  /** The most recent steps that were not due, used if a sampler takes fewer steps than announced. */
  private spare: Frame[] = [];

  constructor({ every = 1, count }: PreviewRequest, emit: (preview: JobPreview) => void) {
    this.every = every;
    this.count = count;
    this.emit = emit;
  }

  /**
   * Renders a preview of this step if one is due. With a stride, the step is dropped while another preview is
   * being rendered; with a requested number, it is queued.
   * @param cell of a grid
   */
  offer(step: number, steps: number, render: Render, cell?: number): void {
    if (this.count === undefined) this.offerByStride({ step, steps, render, cell });
    else this.offerCounted({ step, steps, render, cell }, this.count);
  }

  /**
   * Waits for pending previews, so that none is emitted after the job has ended; drops them if the job was
   * stopped.
   */
  async end(stopped: boolean): Promise<void> {
    if (!stopped) {
      const missing = (this.count ?? 0) - this.queued;
      this.enqueueSpare(missing);
      await this.busy;
    }
    this.ended = true;
  }

  private offerByStride({ step, steps, render, cell }: Frame): void {
    const now = performance.now();
    if (this.every < 1 || step % this.every !== 0 || this.busy || now - this.last < PAUSE) return;
    this.last = now;
    this.busy = render()
      .then(encode)
      .then((image) => {
        if (!this.ended) this.emit({ step, steps, image, ...defined({ cell }) });
      })
      .catch(() => undefined)
      .finally(() => {
        this.busy = undefined;
      });
  }

  private offerCounted(frame: Frame, count: number): void {
    if (this.queued >= count) return;
    if (frame.step >= dueStep(this.queued, count, frame.steps)) {
      // If too few steps remain for the other previews, earlier steps are used for them.
      const late = count - this.queued - 1 - Math.max(0, frame.steps - frame.step);
      this.enqueueSpare(late);
      this.enqueue(frame);
    } else {
      this.spare = [...this.spare, frame].slice(-count);
    }
  }

  /** Renders the most recent of the skipped steps, in order. */
  private enqueueSpare(count: number): void {
    if (count > 0) for (const frame of this.spare.splice(-count)) this.enqueue(frame);
  }

  /** Queues one of the requested number of previews. */
  private enqueue({ step, steps, render, cell }: Frame): void {
    const index = this.queued++;
    this.busy = (this.busy ?? Promise.resolve())
      .then(() => (this.ended ? undefined : render().then(encode)))
      .then((image) => {
        if (image !== undefined && !this.ended)
          this.emit({ step, steps, image, index, ...defined({ cell }) });
      })
      .catch(() => undefined);
  }
}

/**
 * Returns the step, from 1, of preview `index` out of `count`: evenly spaced, and distinct if there are enough
 * steps.
 */
function dueStep(index: number, count: number, steps: number): number {
  return Math.floor(((index + 1) * (steps + 1)) / (count + 1));
}

async function encode({ data, width, height }: RgbImage): Promise<string> {
  const sharp = await loadSharp();
  const webp = await sharp(data, { raw: { width, height, channels: 3 } })
    .resize({ width: SIDE, height: SIDE, fit: 'inside', withoutEnlargement: true })
    .webp({ quality: 80 })
    .toBuffer();
  return `data:image/webp;base64,${webp.toString('base64')}`;
}
