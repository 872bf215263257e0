/** Upscaling of images without a model (A1111's "Extras"). */

import { defined } from '../../defined.js';
import { paste } from '../../image/composite.js';
import { nearest } from '../../image/fit.js';
import { encodePng } from '../../image/png.js';
import { type ByteImage, resample } from '../../image/resample.js';
import { inSlices } from '../../image/slices.js';
import type { JobLimits } from '../../jobs/schemas.js';
import { failure, notSupported } from './failures.js';
import type { ExtraFields } from './fields.js';

type Upscaler = (image: ByteImage, width: number, height: number) => Promise<ByteImage>;

/** Upscalers by A1111's names; None leaves the image unchanged. */
const UPSCALERS: Readonly<Record<string, Upscaler | undefined>> = {
  None: undefined,
  Lanczos: (image, width, height) => resample(image, width, height, 'lanczos'),
  Nearest: nearest,
};

export function upscalerList() {
  return Object.keys(UPSCALERS).map((name) => ({
    ...{ name, model_name: null, model_path: null, model_url: null, scale: 4 },
  }));
}

export interface UpscaledImage {
  readonly image: ByteImage;
  /** The operations in the format of A1111's generation parameters. */
  readonly info: Readonly<Record<string, string>>;
}

/** Upscales an image. @throws 422 for an unknown upscaler, a size beyond the limits, or an unsupported field */
export async function upscale(
  image: ByteImage,
  fields: ExtraFields,
  limits: JobLimits,
): Promise<UpscaledImage> {
  if (fields.gfpgan_visibility) throw notSupported('gfpgan_visibility', 'set it to 0');
  if (fields.codeformer_visibility) throw notSupported('codeformer_visibility', 'set it to 0');
  const [first, second] = [fields.upscaler_1, fields.upscaler_2].map((name, i) =>
    upscalerNamed(`upscaler_${i + 1}`, name),
  );
  if (!first) return { image, info: {} };
  const target = targetOf(image, fields);
  if (
    Math.max(target.width, target.height) > limits.maxSide * 4 ||
    target.width * target.height > limits.maxPixels * 4
  )
    throw failure(
      422,
      `The image would have ${target.width} x ${target.height} pixels, which exceeds the limits of this server`,
    );
  const apply = (upscaler: Upscaler): Promise<ByteImage> => upscaleAndCrop(upscaler, image, target);
  const visibility = fields.extras_upscaler_2_visibility ?? 0;
  const upscaled = await apply(first);
  const isMixed = second && visibility > 0;
  return {
    image: isMixed ? await mix(upscaled, await apply(second), visibility) : upscaled,
    info: defined({
      ...target.info,
      'Postprocess upscaler': fields.upscaler_1 ?? '',
      'Postprocess upscaler 2': isMixed ? (fields.upscaler_2 ?? '') : undefined,
      'Postprocess upscaler 2 visibility': isMixed ? String(visibility) : undefined,
    }),
  };
}

function upscalerNamed(field: string, name: string | null | undefined): Upscaler | undefined {
  if (!name) return undefined;
  if (Object.hasOwn(UPSCALERS, name)) return UPSCALERS[name];
  throw failure(
    422,
    `${field}: no upscaler is named ${JSON.stringify(name.slice(0, 100))}; the upscalers are ${Object.keys(UPSCALERS).join(', ')}`,
  );
}

interface Target {
  /** Size to upscale to, in pixels. */
  readonly width: number;
  readonly height: number;
  /** Size to crop to afterwards, around the center; undefined for no crop. */
  readonly crop: { readonly width: number; readonly height: number } | undefined;
  readonly info: Readonly<Record<string, string>>;
}

/** Computes A1111's target size, in multiples of 8 pixels. */
function targetOf({ width, height }: ByteImage, fields: ExtraFields): Target {
  const { upscaling_resize_w: w, upscaling_resize_h: h } = fields;
  const isSize = fields.resize_mode === 1;
  const crop = { width: Math.max(1, w ?? 512), height: Math.max(1, h ?? 512) };
  const scale = isSize ? Math.max(crop.width / width, crop.height / height) : (fields.upscaling_resize ?? 2);
  const onGrid = (side: number): number => Math.max(8, Math.floor((side * scale) / 8) * 8);
  const size = `${crop.width}x${crop.height}`;
  const isCropped = isSize && (fields.upscaling_crop ?? true);
  return {
    ...{ width: onGrid(width), height: onGrid(height), crop: isCropped ? crop : undefined },
    info: defined({
      'Postprocess upscale to': isSize ? size : undefined,
      'Postprocess upscale by': isSize ? undefined : String(scale),
      'Postprocess crop to': isCropped ? size : undefined,
    }),
  };
}

async function upscaleAndCrop(
  upscaler: Upscaler,
  image: ByteImage,
  { width, height, crop }: Target,
): Promise<ByteImage> {
  const large = await upscaler(image, width, height);
  if (!crop) return large;
  const canvas = { ...crop, channels: 3, data: new Uint8Array(crop.width * crop.height * 3) };
  const at = (outer: number, inner: number): number => Math.floor(outer / 2) - Math.floor(inner / 2);
  return paste(canvas, large, at(crop.width, width), at(crop.height, height));
}

async function mix(a: ByteImage, b: ByteImage, share: number): Promise<ByteImage> {
  const row = a.width * a.channels;
  const data = new Uint8Array(a.data.length);
  await inSlices(a.height, row, undefined, (y) => {
    for (let i = y * row; i < (y + 1) * row; i++)
      data[i] = Math.round(a.data[i]! + (b.data[i]! - a.data[i]!) * share);
  });
  return { ...a, data };
}

/** Encodes an image as base64 PNG with its original generation parameters and those of the upscaling. */
export async function asPng(
  { image, info }: UpscaledImage,
  texts: Readonly<Record<string, string>>,
): Promise<string> {
  const metadata = {
    parameters: texts.parameters || undefined,
    postprocessing: formatInfo(info) || undefined,
  };
  const png = await encodePng(image, defined(metadata));
  return Buffer.from(png).toString('base64');
}

export function formatInfo(info: Readonly<Record<string, string>>): string {
  return Object.entries(info)
    .map(([name, value]) => `${name}: ${value}`)
    .join(', ');
}
