/** Text of a grid's sheet, drawn with Pango through sharp. */
import { loadSharp } from '../../image/sharp.js';
import type { RgbImage } from '../../tensor/render.js';

export interface LabelOptions {
  /** Widest line in pixels; longer text is wrapped. */
  readonly width: number;
  /** Height of the text in pixels; lines beyond are cut off. */
  readonly maxHeight: number;
  /** Size of the font in pixels. */
  readonly size: number;
  readonly bold?: boolean;
}

/** Longest text that is drawn, in characters. */
const MAX_TEXT = 1000;
const FONT = 'sans-serif';
const COLOR = '#202020';

/** Draws text, dark on white, cropped to its ink. An empty text has no pixels. */
export async function drawLabel(
  text: string,
  { width, maxHeight, size, bold = false }: LabelOptions,
): Promise<RgbImage> {
  const shown = printable(text);
  if (shown === '') return { data: new Uint8Array(0), width: 0, height: 0 };
  const markup = `<span foreground="${COLOR}"${bold ? ' weight="bold"' : ''}>${escaped(shown)}</span>`;
  const sharp = await loadSharp();
  const drawn = sharp({
    text: { text: markup, font: `${FONT} ${size}`, dpi: 72, width, rgba: true, wrap: 'word-char' },
  });
  const { data, info } = await drawn
    .flatten({ background: 'white' })
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  return cropped({ data: new Uint8Array(data), width: info.width, height: info.height }, width, maxHeight);
}

function cropped({ data, width, height }: RgbImage, maxWidth: number, maxHeight: number): RgbImage {
  const [w, h] = [Math.min(width, maxWidth), Math.min(height, maxHeight)];
  if (w === width && h === height) return { data, width, height };
  const out = new Uint8Array(w * h * 3);
  for (let y = 0; y < h; y++) out.set(data.subarray(y * width * 3, (y * width + w) * 3), y * w * 3);
  return { data: out, width: w, height: h };
}

/** Removes characters that XML does not allow, and shortens the text. */
function printable(text: string): string {
  const characters = [...text.replace(/\s+/gu, ' ').trim()];
  const allowed = characters.filter((character) => !/[\p{Cc}\p{Cn}\p{Cs}]/u.test(character));
  return allowed.length > MAX_TEXT ? `${allowed.slice(0, MAX_TEXT).join('')}…` : allowed.join('');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
