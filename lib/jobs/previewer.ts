/** Previews of a running job: small WebP pictures, no more than can be drawn on the side. */
import sharp from 'sharp';
import type { RgbImage } from '../tensor/picture.js';
import type { JobPreview } from './types.js';

/** Pixels of the longer side. */
const SIDE = 384;
/** Milliseconds between the beginnings of two. */
const PAUSE = 300;

export class Previewer {
  private busy: Promise<void> | undefined;
  private last = Number.NEGATIVE_INFINITY;
  private ended = false;

  constructor(
    private readonly every: number,
    private readonly emit: (preview: JobPreview) => void,
  ) {}

  /** Draws this step, unless another is being drawn: a preview that fails or comes late is left out. */
  offer(step: number, steps: number, draw: () => Promise<RgbImage>): void {
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

  /** Waits for the one under way, so that none comes after the job has ended; where the job is stopped, leaves it out. */
  async end(stopped: boolean): Promise<void> {
    if (!stopped) await this.busy;
    this.ended = true;
  }
}

async function encode({ data, width, height }: RgbImage): Promise<string> {
  const webp = await sharp(data, { raw: { width, height, channels: 3 } })
    .resize({ width: SIDE, height: SIDE, fit: 'inside', withoutEnlargement: true })
    .webp({ quality: 80 })
    .toBuffer();
  return `data:image/webp;base64,${webp.toString('base64')}`;
}
