/** Previews of a running job, small WebP images: as many as can be drawn beside the job, or the number that was requested. */
import sharp from 'sharp';
import type { RgbImage } from '../../tensor/render.js';
import type { JobPreview, PreviewRequest } from '../types.js';

/** Pixels of the longer side. */
const SIDE = 384;
/** Milliseconds between the beginnings of two. */
const PAUSE = 300;

type Draw = () => Promise<RgbImage>;

interface Frame {
  readonly step: number;
  readonly steps: number;
  readonly draw: Draw;
}

export class Previewer {
  private readonly every: number;
  private readonly count: number | undefined;
  private readonly emit: (preview: JobPreview) => void;
  /** Settles with the preview under way; where previews are counted, with all up to the last. */
  private busy: Promise<void> | undefined;
  private last = Number.NEGATIVE_INFINITY;
  private ended = false;
  private taken = 0;
  /** The newest steps that were not due, for a sampler that takes fewer steps than it announced. */
  private spare: Frame[] = [];

  constructor({ every = 1, count }: PreviewRequest, emit: (preview: JobPreview) => void) {
    this.every = every;
    this.count = count;
    this.emit = emit;
  }

  /** Draws this step if it is due. By a stride, one that comes while another is drawn is left out; of a count, it waits for its turn. */
  offer(step: number, steps: number, draw: Draw): void {
    if (this.count === undefined) this.offerByStride({ step, steps, draw });
    else this.offerCounted({ step, steps, draw }, this.count);
  }

  /** Waits for those under way, so that none comes after the job has ended; where the job is stopped, leaves them out. */
  async end(stopped: boolean): Promise<void> {
    if (!stopped) {
      const missing = (this.count ?? 0) - this.taken;
      this.takeSpare(missing);
      await this.busy;
    }
    this.ended = true;
  }

  private offerByStride({ step, steps, draw }: Frame): void {
    const now = performance.now();
    if (this.every < 1 || step % this.every !== 0 || this.busy || now - this.last < PAUSE) return;
    this.last = now;
    this.busy = draw()
      .then(encode)
      .then((image) => {
        if (!this.ended) this.emit({ step, steps, image });
      })
      .catch(() => undefined)
      .finally(() => {
        this.busy = undefined;
      });
  }

  private offerCounted(frame: Frame, count: number): void {
    if (this.taken >= count) return;
    if (frame.step >= dueStep(this.taken, count, frame.steps)) {
      // Should too few steps be left for the others, those before this one are taken for them.
      const late = count - this.taken - 1 - Math.max(0, frame.steps - frame.step);
      this.takeSpare(late);
      this.take(frame);
    } else {
      this.spare = [...this.spare, frame].slice(-count);
    }
  }

  /** The newest of the steps that were left out, in their order. */
  private takeSpare(count: number): void {
    if (count > 0) for (const frame of this.spare.splice(-count)) this.take(frame);
  }

  /** Draws one of a count after those before it. */
  private take({ step, steps, draw }: Frame): void {
    const index = this.taken++;
    this.busy = (this.busy ?? Promise.resolve())
      .then(() => (this.ended ? undefined : draw().then(encode)))
      .then((image) => {
        if (image !== undefined && !this.ended) this.emit({ step, steps, image, index });
      })
      .catch(() => undefined);
  }
}

/** The step, from 1, of the `index`th of so many frames: evenly, each on a step of its own where there are enough. */
function dueStep(index: number, count: number, steps: number): number {
  return Math.floor(((index + 1) * (steps + 1)) / (count + 1));
}

async function encode({ data, width, height }: RgbImage): Promise<string> {
  const webp = await sharp(data, { raw: { width, height, channels: 3 } })
    .resize({ width: SIDE, height: SIDE, fit: 'inside', withoutEnlargement: true })
    .webp({ quality: 80 })
    .toBuffer();
  return `data:image/webp;base64,${webp.toString('base64')}`;
}
