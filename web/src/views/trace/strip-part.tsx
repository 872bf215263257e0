/** Renders a part of a strip of grayscale images on a canvas, optionally in false colors. */
import { useEffect, useRef } from 'preact/hooks';
import { heat } from '../../logic/heat.js';
import type { Place } from '../../state/trace.js';

interface StripPartProps {
  readonly url: string | undefined;
  readonly place: Place | undefined;
  /** Left edge and width of the part in pixels. */
  readonly left?: number;
  readonly width?: number;
  readonly colours?: 'heat' | 'own';
  readonly label: string;
  readonly class?: string;
}

const strips = new Map<string, Promise<HTMLImageElement>>();

/** Loads and decodes a strip. The last 12 strips are cached. */
function strip(url: string): Promise<HTMLImageElement> {
  let loading = strips.get(url);
  if (!loading) {
    const image = new Image();
    image.src = url;
    loading = image.decode().then(() => image);
    loading.catch(() => strips.delete(url));
    strips.set(url, loading);
    if (strips.size > 12) strips.delete(strips.keys().next().value!);
  }
  return loading;
}

export function StripPart({ url, place, left = 0, width, colours = 'own', label, ...rest }: StripPartProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const partWidth = width ?? place?.width ?? 1;
  const { top = 0, height = 1 } = place ?? {};
  useEffect(() => {
    let stale = false;
    if (url === undefined) return undefined;
    strip(url).then(
      (image) => {
        const context = canvas.current?.getContext('2d', { willReadFrequently: true });
        if (stale || !context) return;
        context.drawImage(image, left, top, partWidth, height, 0, 0, partWidth, height);
        if (colours === 'heat') recolour(context, partWidth, height);
      },
      () => undefined,
    );
    return () => {
      stale = true;
    };
  }, [url, top, left, partWidth, height, colours]);
  return (
    <canvas
      ref={canvas}
      class={rest.class ?? ''}
      width={partWidth}
      height={height}
      role="img"
      aria-label={label}
    />
  );
}

function recolour(context: CanvasRenderingContext2D, width: number, height: number): void {
  const image = context.getImageData(0, 0, width, height);
  for (let i = 0; i < image.data.length; i += 4) image.data.set(heat(image.data[i]! / 255), i);
  context.putImageData(image, 0, 0);
}
