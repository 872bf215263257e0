/**
 * A layer to paint on, with one byte of coverage per pixel. Strokes are capsules along the path of the pointer
 * with an antialiased edge one pixel wide, and can be undone. The same bytes are displayed and sent to the server.
 */

export interface Rect {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** An undoable change: the bytes of its rectangle before and after. */
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

const MAX_UNDO = 60;

export class PaintLayer {
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

  /** Starts a stroke at a position in pixels. @returns the rectangle to redraw */
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

  /** Ends the stroke. */
  end(): void {
    const { stroke } = this;
    this.stroke = undefined;
    if (stroke?.touched) this.pushUndo(stroke.touched, stroke.snapshot);
  }

  /** Discards the current stroke, because a second touch started a pinch gesture. @returns the rectangle to redraw */
  abandon(): Rect {
    const { stroke } = this;
    this.stroke = undefined;
    if (stroke) this.data.set(stroke.snapshot);
    return stroke?.touched ?? this.bounds;
  }

  /**
   * Sets all pixels as a function of their value and index, for clearing, filling or inverting. Can be undone like
   * a stroke.
   */
  change(value: (before: number, index: number) => number): Rect {
    this.end();
    const before = this.data.slice();
    for (let i = 0; i < before.length; i++) this.data[i] = value(before[i]!, i);
    this.pushUndo(this.bounds, before);
    return this.bounds;
  }

  undo(): Rect | undefined {
    return this.shift(this.done, this.undone, 'before');
  }

  redo(): Rect | undefined {
    return this.shift(this.undone, this.done, 'after');
  }

  get bounds(): Rect {
    return { left: 0, top: 0, right: this.width, bottom: this.height };
  }

  private shift(from: Patch[], to: Patch[], state: 'before' | 'after'): Rect | undefined {
    const patch = from.pop();
    if (!patch) return undefined;
    to.push(patch);
    this.pasteRect(patch.rect, patch[state]);
    return patch.rect;
  }

  private pushUndo(rect: Rect, snapshot: Uint8Array): void {
    const patch = { rect, before: this.copyRect(rect, snapshot), after: this.copyRect(rect, this.data) };
    this.done.push(patch);
    if (this.done.length > MAX_UNDO) this.done.shift();
    this.undone = [];
  }

  /** Covers (or erases) the pixels within the radius of the line from the last position of the brush. */
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
    const within = (value: number, limit: number): number => Math.min(limit, Math.max(0, value));
    return {
      left: within(left, this.width),
      top: within(top, this.height),
      right: within(right, this.width),
      bottom: within(bottom, this.height),
    };
  }

  private copyRect({ left, top, right, bottom }: Rect, from: Uint8Array): Uint8Array {
    const out = new Uint8Array((right - left) * (bottom - top));
    for (let y = top; y < bottom; y++) {
      const row = from.subarray(y * this.width + left, y * this.width + right);
      out.set(row, (y - top) * (right - left));
    }
    return out;
  }

  private pasteRect({ left, top, right, bottom }: Rect, bytes: Uint8Array): void {
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
