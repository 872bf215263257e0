/** Tracks pointers on a canvas: one pointer draws, two pan and zoom. */

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Pinch {
  /** Ratio of the distances between the pointers after and before the move. */
  readonly factor: number;
  readonly middle: Point;
  readonly moved: Point;
}

/** Positions of the active pointers. */
export class Pointers {
  private readonly down = new Map<number, Point>();

  get count(): number {
    return this.down.size;
  }

  add(id: number, point: Point): void {
    this.down.set(id, point);
  }

  remove(id: number): void {
    this.down.delete(id);
  }

  /** Updates the position of a pointer. @returns the pinch gesture, if two pointers are active */
  move(id: number, point: Point): Pinch | undefined {
    if (!this.down.has(id)) return undefined;
    const before = this.pair();
    this.down.set(id, point);
    const after = this.pair();
    if (!before || !after) return undefined;
    return {
      factor: after.width / Math.max(1e-6, before.width),
      middle: after.middle,
      moved: { x: after.middle.x - before.middle.x, y: after.middle.y - before.middle.y },
    };
  }

  private pair(): { middle: Point; width: number } | undefined {
    const [a, b] = this.down.values();
    if (!a || !b) return undefined;
    return {
      middle: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 },
      width: Math.hypot(a.x - b.x, a.y - b.y),
    };
  }
}
