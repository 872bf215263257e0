/** What fingers and mice on a canvas mean: one draws, two move and zoom. */

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Pinch {
  /** How much wider the fingers are apart. */
  readonly factor: number;
  readonly middle: Point;
  readonly moved: Point;
}

/** Positions of the pointers that are down. */
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

  /** Takes in where a pointer is now. @returns what two of them did together, if there are two */
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
