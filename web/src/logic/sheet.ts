/**
 * What is painted on: one byte a pixel, how much of it is covered. Strokes are capsules along the pointer's path with an edge one pixel
 * soft; every stroke can be taken back. The same bytes are shown and sent, so that what is seen is what is repainted.
 */

export interface Rect {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** A stroke as it can be undone and done again: the bytes of its rectangle before and after. */
interface Patch {
  readonly rect: Rect;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

interface Stroke {
  readonly radius: number;
  readonly erase: boolean;
  readonly snapshot: Uint8Array;
  x: number;
  y: number;
  touched: Rect | undefined;
}

const MOST_PATCHES = 60;

export class Sheet {
  readonly data: Uint8Array;
  private stroke: Stroke | undefined;
  private done: Patch[] = [];
  private undone: Patch[] = [];

  constructor(
    readonly width: number,
    readonly height: number,
    data?: Uint8Array,
  ) {
    this.data = data?.length === width * height ? data : new Uint8Array(width * height);
  }

  get canUndo(): boolean {
    return this.done.length > 0;
  }

  get canRedo(): boolean {
    return this.undone.length > 0;
  }

  get empty(): boolean {
    return this.data.every((value) => value === 0);
  }

  /** Sets the brush down, in pixels of the sheet. @returns what has to be drawn anew */
  begin(x: number, y: number, radius: number, erase: boolean): Rect {
    this.end();
    this.stroke = { radius, erase, snapshot: this.data.slice(), x, y, touched: undefined };
    return this.move(x, y);
  }

  move(x: number, y: number): Rect {
    const { stroke } = this;
    if (!stroke) return { left: 0, top: 0, right: 0, bottom: 0 };
    const rect = this.capsule(stroke, x, y);
    stroke.touched = stroke.touched ? union(stroke.touched, rect) : rect;
    stroke.x = x;
    stroke.y = y;
    return rect;
  }

  /** Lifts the brush. */
  end(): void {
    const { stroke } = this;
    this.stroke = undefined;
    if (stroke?.touched) this.remember(stroke.touched, stroke.snapshot);
  }

  /** Forgets the stroke under way: a second finger came, which wants to move the picture. */
  abandon(): Rect {
    const { stroke } = this;
    this.stroke = undefined;
    if (stroke) this.data.set(stroke.snapshot);
    return stroke?.touched ?? this.whole;
  }

  /** Sets every pixel by its place and value: clearing, filling, turning over. Can be undone as a stroke can. */
  change(value: (before: number, index: number) => number): Rect {
    this.end();
    const before = this.data.slice();
    for (let i = 0; i < before.length; i++) this.data[i] = value(before[i]!, i);
    this.remember(this.whole, before);
    return this.whole;
  }

  undo(): Rect | undefined {
    return this.shift(this.done, this.undone, 'before');
  }

  redo(): Rect | undefined {
    return this.shift(this.undone, this.done, 'after');
  }

  get whole(): Rect {
    return { left: 0, top: 0, right: this.width, bottom: this.height };
  }

  private shift(from: Patch[], to: Patch[], state: 'before' | 'after'): Rect | undefined {
    const patch = from.pop();
    if (!patch) return undefined;
    to.push(patch);
    this.paste(patch.rect, patch[state]);
    return patch.rect;
  }

  private remember(rect: Rect, snapshot: Uint8Array): void {
    const patch = { rect, before: this.cut(rect, snapshot), after: this.cut(rect, this.data) };
    this.done.push(patch);
    if (this.done.length > MOST_PATCHES) this.done.shift();
    this.undone = [];
  }

  /** Covers (or uncovers) what lies within the radius of the line from where the brush is. */
  private capsule({ x: x0, y: y0, radius, erase }: Stroke, x1: number, y1: number): Rect {
    const rect = this.clip({
      left: Math.floor(Math.min(x0, x1) - radius - 1),
      top: Math.floor(Math.min(y0, y1) - radius - 1),
      right: Math.ceil(Math.max(x0, x1) + radius + 1),
      bottom: Math.ceil(Math.max(y0, y1) + radius + 1),
    });
    const [dx, dy] = [x1 - x0, y1 - y0];
    const squared = dx * dx + dy * dy;
    for (let y = rect.top; y < rect.bottom; y++) {
      for (let x = rect.left; x < rect.right; x++) {
        const [px, py] = [x + 0.5 - x0, y + 0.5 - y0];
        const along = squared === 0 ? 0 : Math.min(1, Math.max(0, (px * dx + py * dy) / squared));
        const distance = Math.hypot(px - along * dx, py - along * dy);
        const cover = Math.round(255 * Math.min(1, Math.max(0, radius + 0.5 - distance)));
        const at = y * this.width + x;
        const before = this.data[at]!;
        this.data[at] = erase ? Math.min(before, 255 - cover) : Math.max(before, cover);
      }
    }
    return rect;
  }

  private clip({ left, top, right, bottom }: Rect): Rect {
    const within = (value: number, most: number): number => Math.min(most, Math.max(0, value));
    return {
      left: within(left, this.width),
      top: within(top, this.height),
      right: within(right, this.width),
      bottom: within(bottom, this.height),
    };
  }

  private cut({ left, top, right, bottom }: Rect, from: Uint8Array): Uint8Array {
    const out = new Uint8Array((right - left) * (bottom - top));
    for (let y = top; y < bottom; y++) {
      const row = from.subarray(y * this.width + left, y * this.width + right);
      out.set(row, (y - top) * (right - left));
    }
    return out;
  }

  private paste({ left, top, right, bottom }: Rect, bytes: Uint8Array): void {
    for (let y = top; y < bottom; y++) {
      const row = bytes.subarray((y - top) * (right - left), (y - top + 1) * (right - left));
      this.data.set(row, y * this.width + left);
    }
  }
}

function union(a: Rect, b: Rect): Rect {
  return {
    left: Math.min(a.left, b.left),
    top: Math.min(a.top, b.top),
    right: Math.max(a.right, b.right),
    bottom: Math.max(a.bottom, b.bottom),
  };
}
