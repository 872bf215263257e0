/** Canvas that shows a paint layer and paints on it with mouse, pen, touch or arrow keys. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { PaintLayer, Rect } from '../logic/paint-layer.js';
import { type Point, Pointers } from '../logic/pointers.js';
import { brush, fit, pan, tool, view, zoom } from '../state/canvas.js';
import { saveLayer, strokes } from '../state/drafts.js';

interface PaintCanvasProps {
  readonly layer: PaintLayer;
  readonly kind: 'mask' | 'drawing';
  /** URL of the image under the layer. */
  readonly under: string | undefined;
}

/** Color of the paint: red, green, blue and opacity. */
const COLORS = { mask: [255, 74, 43, 0.62], drawing: [24, 20, 18, 1] } as const;

export function PaintCanvas({ layer, kind, under }: PaintCanvasProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const cursor = useSignal<Point | null>(null);
  const controller = useRef(new PaintController());
  const draw = (rect: Rect): void => paint(canvas.current!, layer, rect, COLORS[kind]);
  useEffect(() => draw(layer.bounds), [layer, strokes.value]);
  useEffect(fit, [layer]);

  /** Radius of the brush in pixels of the layer. */
  const radius = (brush.value[kind] / 512) * Math.max(layer.width, layer.height) * 0.5;
  const { scale, x, y } = view.value;
  const onLayer = (event: PointerEvent): Point => {
    const box = canvas.current!.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * layer.width,
      y: ((event.clientY - box.top) / box.height) * layer.height,
    };
  };
  const onFrame = (event: PointerEvent | WheelEvent): Point => {
    const box = frame.current!.getBoundingClientRect();
    return {
      x: (event.clientX - box.left) / box.width - 0.5,
      y: (event.clientY - box.top) / box.height - 0.5,
    };
  };
  const parts = { layer, radius, draw, onLayer, onFrame };

  return (
    <div
      ref={(element) => {
        frame.current = element;
        element?.style.setProperty('--ratio', `${layer.width} / ${layer.height}`);
      }}
      class={`frame sheet ${kind}`}
    >
      <div
        class="sheet-layers"
        ref={(element) => {
          if (element) element.style.transform = `translate(${x * 100}%, ${y * 100}%) scale(${scale})`;
        }}
      >
        {under && <img src={under} alt="" draggable={false} />}
        {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: the canvas is interactive: keys paint on it */}
        <canvas
          ref={canvas}
          width={layer.width}
          height={layer.height}
          tabIndex={0}
          role="application"
          aria-label={`${kind === 'mask' ? 'Mask' : 'Sketch'}: arrow keys move the brush, Enter starts and ends a stroke`}
          class={tool.value === 'move' ? 'moves' : ''}
          onPointerDown={(event) => controller.current.down(event, parts)}
          onPointerMove={(event) => {
            cursor.value = onLayer(event);
            controller.current.move(event, parts);
          }}
          onPointerUp={(event) => controller.current.up(event, parts)}
          onPointerCancel={(event) => controller.current.up(event, parts)}
          onPointerLeave={(event) => {
            if (event.pointerType === 'mouse' && controller.current.idle) cursor.value = null;
          }}
          onWheel={(event) => {
            event.preventDefault();
            zoom(Math.exp(-event.deltaY / 400), onFrame(event));
          }}
          onKeyDown={(event) => {
            const next = controller.current.key(event, cursor.value ?? centerOf(layer), parts);
            if (next) cursor.value = next;
          }}
        />
        {cursor.value && tool.value !== 'move' && <Ring at={cursor.value} radius={radius} layer={layer} />}
      </div>
    </div>
  );
}

function centerOf({ width, height }: PaintLayer): Point {
  return { x: width / 2, y: height / 2 };
}

/** Outline of the brush. */
function Ring({
  at,
  radius,
  layer,
}: {
  readonly at: Point;
  readonly radius: number;
  readonly layer: PaintLayer;
}) {
  return (
    <svg class="ring" viewBox={`0 0 ${layer.width} ${layer.height}`} aria-hidden="true">
      <circle cx={at.x} cy={at.y} r={Math.max(1, radius)} />
      <circle class="inner" cx={at.x} cy={at.y} r={Math.max(1, radius)} />
    </svg>
  );
}

interface Parts {
  readonly layer: PaintLayer;
  readonly radius: number;
  readonly draw: (rect: Rect) => void;
  readonly onLayer: (event: PointerEvent) => Point;
  readonly onFrame: (event: PointerEvent) => Point;
}

/** Translates pointer and key events to strokes, panning and zooming. */
class PaintController {
  private readonly pointers = new Pointers();
  private action: 'nothing' | 'painting' | 'moving' = 'nothing';
  private last: Point = { x: 0, y: 0 };
  /** True while a stroke is drawn with the keyboard. */
  private penDown = false;

  get idle(): boolean {
    return this.action === 'nothing';
  }

  down(event: PointerEvent & { readonly currentTarget: HTMLElement }, parts: Parts): void {
    if (event.button > 1) return;
    event.preventDefault();
    event.currentTarget.focus({ preventScroll: true });
    event.currentTarget.setPointerCapture(event.pointerId);
    this.last = parts.onFrame(event);
    this.pointers.add(event.pointerId, this.last);
    if (this.pointers.count > 1) {
      if (this.action === 'painting') parts.draw(parts.layer.abandon());
      this.action = 'moving';
    } else if (tool.peek() === 'move' || event.button === 1) {
      this.action = 'moving';
    } else {
      this.action = 'painting';
      const { x, y } = parts.onLayer(event);
      parts.draw(parts.layer.begin(x, y, parts.radius, tool.peek() === 'eraser'));
    }
  }

  move(event: PointerEvent, parts: Parts): void {
    const at = parts.onFrame(event);
    const pinch = this.pointers.move(event.pointerId, at);
    if (this.action === 'painting') {
      for (const coalesced of event.getCoalescedEvents?.() ?? [event]) {
        const { x, y } = parts.onLayer(coalesced);
        parts.draw(parts.layer.move(x, y));
      }
    } else if (this.action === 'moving' && pinch) {
      zoom(pinch.factor, pinch.middle);
      pan(pinch.moved.x, pinch.moved.y);
    } else if (this.action === 'moving' && this.pointers.count === 1) {
      pan(at.x - this.last.x, at.y - this.last.y);
    }
    this.last = at;
  }

  up(event: PointerEvent, { layer }: Parts): void {
    this.pointers.remove(event.pointerId);
    if (this.action === 'painting') {
      layer.end();
      saveLayer(layer);
    }
    if (this.pointers.count === 0) this.action = 'nothing';
  }

  /**
   * Handles arrow keys, which move the brush, and Enter or Space, which start and end a stroke.
   * @returns the new position of the brush
   */
  key(event: KeyboardEvent, at: Point, { layer, radius, draw }: Parts): Point | undefined {
    const distance = Math.max(2, radius * (event.shiftKey ? 2 : 0.5));
    const directions: Record<string, Point> = {
      ArrowLeft: { x: -distance, y: 0 },
      ArrowRight: { x: distance, y: 0 },
      ArrowUp: { x: 0, y: -distance },
      ArrowDown: { x: 0, y: distance },
    };
    const direction = directions[event.key];
    if (direction) {
      event.preventDefault();
      const next = {
        x: Math.min(layer.width, Math.max(0, at.x + direction.x)),
        y: Math.min(layer.height, Math.max(0, at.y + direction.y)),
      };
      if (this.penDown) draw(layer.move(next.x, next.y));
      return next;
    }
    if ((event.key !== 'Enter' && event.key !== ' ') || event.ctrlKey || event.metaKey) return undefined;
    event.preventDefault();
    this.penDown = !this.penDown;
    if (this.penDown) draw(layer.begin(at.x, at.y, radius, tool.peek() === 'eraser'));
    else {
      layer.end();
      saveLayer(layer);
    }
    return at;
  }
}

/** Renders a part of the layer, with the coverage as opacity. */
function paint(
  canvas: HTMLCanvasElement,
  layer: PaintLayer,
  rect: Rect,
  color: (typeof COLORS)['mask' | 'drawing'],
): void {
  const [width, height] = [rect.right - rect.left, rect.bottom - rect.top];
  if (width < 1 || height < 1) return;
  const [red, green, blue, strength] = color;
  const image = new ImageData(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const cover = layer.data[(rect.top + y) * layer.width + rect.left + x]!;
      image.data.set([red, green, blue, cover * strength], (y * width + x) * 4);
    }
  }
  canvas.getContext('2d')!.putImageData(image, rect.left, rect.top);
}
