/** How the canvas is worked on: tool, brush, and what part of it is seen. */
import { signal } from '@preact/signals';

export type Tool = 'brush' | 'eraser' | 'move';

export const tool = signal<Tool>('brush');
/** Brush sizes are of each canvas: pixels across, of 512 for the canvas's longer side. */
export const brush = signal<Readonly<Record<'mask' | 'drawing', number>>>({ mask: 48, drawing: 10 });
/** Zoom, and the shift of the middle as a share of the canvas. */
export const view = signal({ scale: 1, x: 0, y: 0 });

const MOST = 12;

export function fit(): void {
  view.value = { scale: 1, x: 0, y: 0 };
}

/** @param at the point that stays where it is, as a share of the frame from its middle */
export function zoom(factor: number, at = { x: 0, y: 0 }): void {
  const { scale, x, y } = view.peek();
  const next = Math.min(MOST, Math.max(1, scale * factor));
  const ratio = next / scale;
  view.value = clamped({ scale: next, x: at.x - (at.x - x) * ratio, y: at.y - (at.y - y) * ratio });
}

export function pan(dx: number, dy: number): void {
  const { scale, x, y } = view.peek();
  view.value = clamped({ scale, x: x + dx, y: y + dy });
}

/** So far that the canvas still fills the frame. */
function clamped({ scale, x, y }: { scale: number; x: number; y: number }) {
  const most = (scale - 1) / 2;
  const within = (value: number): number => Math.min(most, Math.max(-most, value));
  return { scale, x: within(x), y: within(y) };
}
