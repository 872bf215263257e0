/** The picture to begin from, the mask on it, and the drawing: kept in the browser between visits. */
import { effect, signal } from '@preact/signals';
import { Sheet } from '../logic/sheet.js';
import { set } from './form.js';
import { keepDraft, storedDraft } from './persistent.js';
import { about } from './session.js';

export interface Source {
  readonly blob: Blob;
  readonly url: string;
  readonly width: number;
  readonly height: number;
}

/** Pixels a side of a picture that is sent; larger ones are made smaller here. */
const MOST = 2048;
/** Pixels a side of the page that is drawn on. */
const PAPER = 512;

export const source = signal<Source | null>(null);
export const mask = signal<Sheet | null>(null);
export const drawing = signal<Sheet>(new Sheet(PAPER, PAPER));
/** Counts the changes of a sheet, which are made in place. */
export const strokes = signal(0);

/** Takes a picture to begin from. @throws Error for what is none */
export async function takeSource(file: Blob): Promise<void> {
  await replace(await prepared(file));
  fitSize();
}

export async function dropSource(): Promise<void> {
  await replace(null);
}

async function replace(next: Omit<Source, 'url'> | null): Promise<void> {
  const before = source.peek();
  // Before anybody can paint on the new one: its mask must not be forgotten with the old.
  const kept = [keepDraft('source', next?.blob), keepDraft('mask', undefined)];
  source.value = next && { ...next, url: URL.createObjectURL(next.blob) };
  mask.value = next && new Sheet(next.width, next.height);
  if (before) URL.revokeObjectURL(before.url);
  await Promise.all(kept);
}

async function prepared(file: Blob): Promise<Omit<Source, 'url'>> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error('This is not a picture that the browser can read');
  }
  const scale = Math.min(1, MOST / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [Math.round(bitmap.width * scale), Math.round(bitmap.height * scale)];
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d')!;
  context.fillStyle = '#fff';
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return { blob: await canvas.convertToBlob({ type: 'image/png' }), width, height };
}

/** About as many pixels as the model is best at, in the picture's proportions. */
function fitSize(): void {
  const picture = source.peek();
  const best = about.peek()?.models.find(({ diffusion }) => diffusion)?.diffusion;
  if (!picture || !best) return;
  const scale = Math.sqrt((best.width * best.height) / (picture.width * picture.height));
  const side = (pixels: number): number =>
    Math.max(best.factor, Math.round((pixels * scale) / best.factor) * best.factor);
  set({ width: side(picture.width), height: side(picture.height) });
}

/** A stroke has ended, was undone or done again. */
export function touched(sheet: Sheet): void {
  strokes.value++;
  const name = sheet === drawing.peek() ? 'drawing' : 'mask';
  void keepDraft(name, sheet.empty ? undefined : sheet.data.slice());
}

/** What was there when the page was left. */
export async function restoreDrafts(): Promise<void> {
  const [kept, painted, drawn] = await Promise.all(['source', 'mask', 'drawing'].map(storedDraft));
  if (kept instanceof Blob && !source.peek()) {
    const picture = await prepared(kept).catch(() => undefined);
    if (picture) {
      source.value = { ...picture, url: URL.createObjectURL(picture.blob) };
      const bytes = painted instanceof Uint8Array ? painted : undefined;
      mask.value = new Sheet(picture.width, picture.height, bytes);
    }
  }
  if (drawn instanceof Uint8Array) drawing.value = new Sheet(PAPER, PAPER, drawn);
}

/** A sheet as a PNG: `ink` on `paper`, both gray levels. */
export async function sheetPng(sheet: Sheet, ink: number, paper: number): Promise<Blob> {
  const canvas = new OffscreenCanvas(sheet.width, sheet.height);
  const image = new ImageData(sheet.width, sheet.height);
  sheet.data.forEach((cover, i) => {
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
  // A sheet that was replaced counts as changed.
  void mask.value;
  void drawing.value;
  strokes.value = strokes.peek() + 1;
});
