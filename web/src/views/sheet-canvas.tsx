/** The sheet as it is seen and painted on: by mouse, pen, finger or arrow keys. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { type Point, Pointers } from '../logic/pointers.js';
import type { Rect, Sheet } from '../logic/sheet.js';
import { strokes, touched } from '../state/drafts.js';
import { brush, fit, pan, tool, view, zoom } from '../state/easel.js';

interface SheetCanvasProps {
  readonly sheet: Sheet;
  readonly kind: 'mask' | 'drawing';
  /** The picture the sheet lies on. */
  readonly under: string | undefined;
}

/** Red, green, blue, and how much of it is seen. */
const INKS = { mask: [255, 74, 43, 0.62], drawing: [24, 20, 18, 1] } as const;

export function SheetCanvas({ sheet, kind, under }: SheetCanvasProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const cursor = useSignal<Point | null>(null);
  const hand = useRef(new Hand());
  const draw = (rect: Rect): void => paint(canvas.current!, sheet, rect, INKS[kind]);
  useEffect(() => draw(sheet.whole), [sheet, strokes.value]);
  useEffect(fit, [sheet]);

  /** Half the brush in pixels of the sheet. */
  const radius = (brush.value[kind] / 512) * Math.max(sheet.width, sheet.height) * 0.5;
  const { scale, x, y } = view.value;
  const onSheet = (event: PointerEvent): Point => {
    const box = canvas.current!.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * sheet.width,
      y: ((event.clientY - box.top) / box.height) * sheet.height,
    };
  };
  const onFrame = (event: PointerEvent | WheelEvent): Point => {
    const box = frame.current!.getBoundingClientRect();
    return {
      x: (event.clientX - box.left) / box.width - 0.5,
      y: (event.clientY - box.top) / box.height - 0.5,
    };
  };
  const parts = { sheet, radius, draw, onSheet, onFrame };

  return (
    <div
      ref={(element) => {
        frame.current = element;
        element?.style.setProperty('--ratio', `${sheet.width} / ${sheet.height}`);
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
        {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: it is one: keys paint on it */}
        <canvas
          ref={canvas}
          width={sheet.width}
          height={sheet.height}
          tabIndex={0}
          role="application"
          aria-label={`${kind === 'mask' ? 'Mask' : 'Drawing'}: arrow keys move the brush, Enter sets it down and lifts it`}
          class={tool.value === 'move' ? 'moves' : ''}
          onPointerDown={(event) => hand.current.down(event, parts)}
          onPointerMove={(event) => {
            cursor.value = onSheet(event);
            hand.current.move(event, parts);
          }}
          onPointerUp={(event) => hand.current.up(event, parts)}
          onPointerCancel={(event) => hand.current.up(event, parts)}
          onPointerLeave={(event) => {
            if (event.pointerType === 'mouse' && hand.current.idle) cursor.value = null;
          }}
          onWheel={(event) => {
            event.preventDefault();
            zoom(Math.exp(-event.deltaY / 400), onFrame(event));
          }}
          onKeyDown={(event) => {
            const next = hand.current.key(event, cursor.value ?? middle(sheet), parts);
            if (next) cursor.value = next;
          }}
        />
        {cursor.value && tool.value !== 'move' && <Ring at={cursor.value} radius={radius} sheet={sheet} />}
      </div>
    </div>
  );
}

function middle({ width, height }: Sheet): Point {
  return { x: width / 2, y: height / 2 };
}

/** The brush's outline. */
function Ring({ at, radius, sheet }: { readonly at: Point; readonly radius: number; readonly sheet: Sheet }) {
  return (
    <svg class="ring" viewBox={`0 0 ${sheet.width} ${sheet.height}`} aria-hidden="true">
      <circle cx={at.x} cy={at.y} r={Math.max(1, radius)} />
      <circle class="inner" cx={at.x} cy={at.y} r={Math.max(1, radius)} />
    </svg>
  );
}

interface Parts {
  readonly sheet: Sheet;
  readonly radius: number;
  readonly draw: (rect: Rect) => void;
  readonly onSheet: (event: PointerEvent) => Point;
  readonly onFrame: (event: PointerEvent) => Point;
}

/** Pointers and keys, from setting the brush down to lifting it. */
class Hand {
  private readonly pointers = new Pointers();
  private doing: 'nothing' | 'painting' | 'moving' = 'nothing';
  private last: Point = { x: 0, y: 0 };
  /** Whether the brush is down by keyboard. */
  private pen = false;

  get idle(): boolean {
    return this.doing === 'nothing';
  }

  down(event: PointerEvent & { readonly currentTarget: HTMLElement }, parts: Parts): void {
    if (event.button > 1) return;
    event.preventDefault();
    event.currentTarget.focus({ preventScroll: true });
    event.currentTarget.setPointerCapture(event.pointerId);
    this.last = parts.onFrame(event);
    this.pointers.add(event.pointerId, this.last);
    if (this.pointers.count > 1) {
      if (this.doing === 'painting') parts.draw(parts.sheet.abandon());
      this.doing = 'moving';
    } else if (tool.peek() === 'move' || event.button === 1) {
      this.doing = 'moving';
    } else {
      this.doing = 'painting';
      const { x, y } = parts.onSheet(event);
      parts.draw(parts.sheet.begin(x, y, parts.radius, tool.peek() === 'eraser'));
    }
  }

  move(event: PointerEvent, parts: Parts): void {
    const at = parts.onFrame(event);
    const pinch = this.pointers.move(event.pointerId, at);
    if (this.doing === 'painting') {
      for (const one of event.getCoalescedEvents?.() ?? [event]) {
        const { x, y } = parts.onSheet(one);
        parts.draw(parts.sheet.move(x, y));
      }
    } else if (this.doing === 'moving' && pinch) {
      zoom(pinch.factor, pinch.middle);
      pan(pinch.moved.x, pinch.moved.y);
    } else if (this.doing === 'moving' && this.pointers.count === 1) {
      pan(at.x - this.last.x, at.y - this.last.y);
    }
    this.last = at;
  }

  up(event: PointerEvent, { sheet }: Parts): void {
    this.pointers.remove(event.pointerId);
    if (this.doing === 'painting') {
      sheet.end();
      touched(sheet);
    }
    if (this.pointers.count === 0) this.doing = 'nothing';
  }

  /** Arrow keys move the brush, Enter or Space sets it down and lifts it. @returns where the brush is now */
  key(event: KeyboardEvent, at: Point, { sheet, radius, draw }: Parts): Point | undefined {
    const far = Math.max(2, radius * (event.shiftKey ? 2 : 0.5));
    const ways: Record<string, Point> = {
      ArrowLeft: { x: -far, y: 0 },
      ArrowRight: { x: far, y: 0 },
      ArrowUp: { x: 0, y: -far },
      ArrowDown: { x: 0, y: far },
    };
    const way = ways[event.key];
    if (way) {
      event.preventDefault();
      const next = {
        x: Math.min(sheet.width, Math.max(0, at.x + way.x)),
        y: Math.min(sheet.height, Math.max(0, at.y + way.y)),
      };
      if (this.pen) draw(sheet.move(next.x, next.y));
      return next;
    }
    if ((event.key !== 'Enter' && event.key !== ' ') || event.ctrlKey || event.metaKey) return undefined;
    event.preventDefault();
    this.pen = !this.pen;
    if (this.pen) draw(sheet.begin(at.x, at.y, radius, tool.peek() === 'eraser'));
    else {
      sheet.end();
      touched(sheet);
    }
    return at;
  }
}

/** Shows a part of the sheet: the ink, as thick as it lies there. */
function paint(
  canvas: HTMLCanvasElement,
  sheet: Sheet,
  rect: Rect,
  ink: (typeof INKS)['mask' | 'drawing'],
): void {
  const [width, height] = [rect.right - rect.left, rect.bottom - rect.top];
  if (width < 1 || height < 1) return;
  const [red, green, blue, strength] = ink;
  const image = new ImageData(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const cover = sheet.data[(rect.top + y) * sheet.width + rect.left + x]!;
      image.data.set([red, green, blue, cover * strength], (y * width + x) * 4);
    }
  }
  canvas.getContext('2d')!.putImageData(image, rect.left, rect.top);
}
