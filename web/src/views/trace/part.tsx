/** A part of a strip of gray pictures, in false colours if wanted, drawn on a canvas of its own size. */
import { useEffect, useRef } from 'preact/hooks';
import { heat } from '../../logic/heat.js';
import type { Place } from '../../state/trace.js';

interface PartProps {
  readonly url: string | undefined;
  readonly place: Place | undefined;
  /** Pixels from the left, and how many. */
  readonly left?: number;
  readonly width?: number;
  readonly colours?: 'heat' | 'own';
  readonly label: string;
  readonly class?: string;
}

const strips = new Map<string, Promise<HTMLImageElement>>();

/** Strips are decoded once. */
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

export function Part({ url, place, left = 0, width, colours = 'own', label, ...rest }: PartProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const across = width ?? place?.width ?? 1;
  const { top = 0, height = 1 } = place ?? {};
  useEffect(() => {
    let stale = false;
    if (url === undefined) return undefined;
    strip(url).then(
      (image) => {
        const context = canvas.current?.getContext('2d', { willReadFrequently: true });
        if (stale || !context) return;
        context.drawImage(image, left, top, across, height, 0, 0, across, height);
        if (colours === 'heat') recolour(context, across, height);
      },
      () => undefined,
    );
    return () => {
      stale = true;
    };
  }, [url, top, left, across, height, colours]);
  return (
    <canvas
      ref={canvas}
      class={rest.class ?? ''}
      width={across}
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
