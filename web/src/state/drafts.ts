/** Drafts stored in the browser: the input image, its mask and the sketch. */
import { effect, signal } from '@preact/signals';
import { PaintLayer } from '../logic/paint-layer.js';
import { set } from './form.js';
import { keepDraft, storedDraft } from './persistent.js';
import { about } from './session.js';

export interface Source {
  readonly blob: Blob;
  readonly url: string;
  readonly width: number;
  readonly height: number;
}

/** Maximum side length in pixels of an input image; larger images are resized before they are sent. */
const MAX_SIDE = 2048;
/** Side length of the sketch in pixels. */
const SKETCH_SIDE = 512;

export const source = signal<Source | null>(null);
export const mask = signal<PaintLayer | null>(null);
export const drawing = signal<PaintLayer>(new PaintLayer(SKETCH_SIDE, SKETCH_SIDE));
/** Counts changes of the paint layers, which are modified in place. */
export const strokes = signal(0);

/** Sets the input image. @throws Error if the file is not an image */
export async function setSource(file: Blob): Promise<void> {
  await replace(await prepareImage(file));
  fitSize();
}

export async function removeSource(): Promise<void> {
  await replace(null);
}

async function replace(next: Omit<Source, 'url'> | null): Promise<void> {
  const before = source.peek();
  // The old mask is removed before the user can paint on the new image, so that the new mask is not lost.
  const removals = [keepDraft('source', next?.blob), keepDraft('mask', undefined)];
  source.value = next && { ...next, url: URL.createObjectURL(next.blob) };
  mask.value = next && new PaintLayer(next.width, next.height);
  if (before) URL.revokeObjectURL(before.url);
  await Promise.all(removals);
}

async function prepareImage(file: Blob): Promise<Omit<Source, 'url'>> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error('This file is not an image that the browser can decode');
  }
  const scale = Math.min(1, MAX_SIDE / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [Math.round(bitmap.width * scale), Math.round(bitmap.height * scale)];
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d')!;
  context.fillStyle = '#fff';
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return { blob: await canvas.convertToBlob({ type: 'image/png' }), width, height };
}

/** Sets the image size to the proportions of the input image at about the default pixel count of the model. */
function fitSize(): void {
  const image = source.peek();
  const defaults = about.peek()?.models.find(({ diffusion }) => diffusion)?.diffusion;
  if (!image || !defaults) return;
  const scale = Math.sqrt((defaults.width * defaults.height) / (image.width * image.height));
  const side = (pixels: number): number =>
    Math.max(defaults.factor, Math.round((pixels * scale) / defaults.factor) * defaults.factor);
  set({ width: side(image.width), height: side(image.height) });
}

/** Stores a paint layer after a stroke, undo or redo. */
export function saveLayer(layer: PaintLayer): void {
  strokes.value++;
  const name = layer === drawing.peek() ? 'drawing' : 'mask';
  void keepDraft(name, layer.empty ? undefined : layer.data.slice());
}

/** Restores the drafts of the previous visit. */
export async function restoreDrafts(): Promise<void> {
  const [storedSource, storedMask, storedSketch] = await Promise.all(
    ['source', 'mask', 'drawing'].map(storedDraft),
  );
  if (storedSource instanceof Blob && !source.peek()) {
    const image = await prepareImage(storedSource).catch(() => undefined);
    if (image) {
      source.value = { ...image, url: URL.createObjectURL(image.blob) };
      const bytes = storedMask instanceof Uint8Array ? storedMask : undefined;
      mask.value = new PaintLayer(image.width, image.height, bytes);
    }
  }
  if (storedSketch instanceof Uint8Array)
    drawing.value = new PaintLayer(SKETCH_SIDE, SKETCH_SIDE, storedSketch);
}

/** Encodes a paint layer as a PNG: gray level `ink` where painted, `paper` elsewhere. */
export async function layerPng(layer: PaintLayer, ink: number, paper: number): Promise<Blob> {
  const canvas = new OffscreenCanvas(layer.width, layer.height);
  const image = new ImageData(layer.width, layer.height);
  layer.data.forEach((cover, i) => {
    image.data.fill(paper + ((ink - paper) * cover) / 255, i * 4, i * 4 + 3);
    image.data[i * 4 + 3] = 255;
  });
  canvas.getContext('2d')!.putImageData(image, 0, 0);
  return canvas.convertToBlob({ type: 'image/png' });
}

export function dataUri(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

effect(() => {
  // Replacing a layer counts as a change.
  void mask.value;
  void drawing.value;
  strokes.value = strokes.peek() + 1;
});
