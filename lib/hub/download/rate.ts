/** Download rate over the last 8 seconds. */
const WINDOW = 8_000;

export class Rate {
  private readonly samples: { at: number; bytes: number }[] = [];

  add(bytes: number): void {
    const at = performance.now();
    const last = this.samples.at(-1);
    if (last && at - last.at < 100) last.bytes += bytes;
    else this.samples.push({ at, bytes });
    while (this.samples.length > 2 && at - this.samples[0]!.at > WINDOW) this.samples.shift();
  }

  /** Bytes per second; 0 until there are two samples. */
  get perSecond(): number {
    const [first] = this.samples;
    if (!first || this.samples.length < 2) return 0;
    const seconds = (performance.now() - first.at) / 1000;
    // The bytes of the first sample arrived before its time.
    const bytes = this.samples.reduce((sum, sample) => sum + sample.bytes, 0) - first.bytes;
    return seconds > 0 ? Math.max(0, bytes / seconds) : 0;
  }
}
