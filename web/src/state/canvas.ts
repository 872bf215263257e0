/** Canvas state: tool, brush size and view (zoom and pan). */
import { signal } from '@preact/signals';

export type Tool = 'brush' | 'eraser' | 'move';

export const tool = signal<Tool>('brush');
/** Brush diameters by canvas, relative to a longer side of 512 pixels. */
export const brush = signal<Readonly<Record<'mask' | 'drawing', number>>>({ mask: 48, drawing: 10 });
/** Zoom factor, and offset of the center as a fraction of the canvas. */
export const view = signal({ scale: 1, x: 0, y: 0 });

const MAX_SCALE = 12;

export function fit(): void {
  view.value = { scale: 1, x: 0, y: 0 };
}

/** Zooms by a factor. @param at fixed point relative to the center, as a fraction of the frame */
export function zoom(factor: number, at = { x: 0, y: 0 }): void {
  const { scale, x, y } = view.peek();
  const next = Math.min(MAX_SCALE, Math.max(1, scale * factor));
  const ratio = next / scale;
  view.value = clamp({ scale: next, x: at.x - (at.x - x) * ratio, y: at.y - (at.y - y) * ratio });
}

export function pan(dx: number, dy: number): void {
  const { scale, x, y } = view.peek();
  view.value = clamp({ scale, x: x + dx, y: y + dy });
}

/** Limits the offset so that the canvas fills the frame. */
function clamp({ scale, x, y }: { scale: number; x: number; y: number }) {
  const limit = (scale - 1) / 2;
  const clampOffset = (value: number): number => Math.min(limit, Math.max(-limit, value));
  return { scale, x: clampOffset(x), y: clampOffset(y) };
}
