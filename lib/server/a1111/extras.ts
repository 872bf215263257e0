/** Enlarging pictures without a model ("Extras"). */

import { defined } from '../../defined.js';
import { paste } from '../../image/composite.js';
import { nearest } from '../../image/fit.js';
import { encodePng } from '../../image/png.js';
import { type ByteImage, resample } from '../../image/resample.js';
import { inSlices } from '../../image/slices.js';
import type { JobLimits } from '../../jobs/schemas.js';
import { failure, notBuilt } from './failures.js';
import type { ExtraFields } from './fields.js';

type Enlarge = (image: ByteImage, width: number, height: number) => Promise<ByteImage>;

/** By A1111's names; None leaves the picture as it is. */
const UPSCALERS: Readonly<Record<string, Enlarge | undefined>> = {
  None: undefined,
  Lanczos: (image, width, height) => resample(image, width, height, 'lanczos'),
  Nearest: nearest,
};

export function upscalerList() {
  return Object.keys(UPSCALERS).map((name) => ({
    ...{ name, model_name: null, model_path: null, model_url: null, scale: 4 },
  }));
}

export interface Enlarged {
  readonly image: ByteImage;
  /** What was done, as A1111 writes it. */
  readonly info: Readonly<Record<string, string>>;
}

/** @throws 422 for a name that is no upscaler, a size beyond the limits, or what is not built */
export async function enlarge(image: ByteImage, fields: ExtraFields, limits: JobLimits): Promise<Enlarged> {
  if (fields.gfpgan_visibility) throw notBuilt('gfpgan_visibility', 'leave it at 0');
  if (fields.codeformer_visibility) throw notBuilt('codeformer_visibility', 'leave it at 0');
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
      `The picture would have ${target.width} x ${target.height} pixels, which is more than this server makes`,
    );
  const by = (upscaler: Enlarge): Promise<ByteImage> => cut(upscaler, image, target);
  const visibility = fields.extras_upscaler_2_visibility ?? 0;
  const one = await by(first);
  const mixed = second && visibility > 0;
  return {
    image: mixed ? await mix(one, await by(second), visibility) : one,
    info: defined({
      ...target.info,
      'Postprocess upscaler': fields.upscaler_1 ?? '',
      'Postprocess upscaler 2': mixed ? (fields.upscaler_2 ?? '') : undefined,
      'Postprocess upscaler 2 visibility': mixed ? String(visibility) : undefined,
    }),
  };
}

function upscalerNamed(field: string, name: string | null | undefined): Enlarge | undefined {
  if (!name) return undefined;
  if (Object.hasOwn(UPSCALERS, name)) return UPSCALERS[name];
  throw failure(
    422,
    `${field}: there is no upscaler ${JSON.stringify(name.slice(0, 100))}; there are ${Object.keys(UPSCALERS).join(', ')}`,
  );
}

interface Target {
  /** Enlarged to. */
  readonly width: number;
  readonly height: number;
  /** And then cut around the middle. */
  readonly crop: { readonly width: number; readonly height: number } | undefined;
  readonly info: Readonly<Record<string, string>>;
}

/** A1111's sizes: multiples of 8. */
function targetOf({ width, height }: ByteImage, fields: ExtraFields): Target {
  const { upscaling_resize_w: w, upscaling_resize_h: h } = fields;
  const isSize = fields.resize_mode === 1;
  const crop = { width: Math.max(1, w ?? 512), height: Math.max(1, h ?? 512) };
  const scale = isSize ? Math.max(crop.width / width, crop.height / height) : (fields.upscaling_resize ?? 2);
  const onGrid = (side: number): number => Math.max(8, Math.floor((side * scale) / 8) * 8);
  const said = `${crop.width}x${crop.height}`;
  const cuts = isSize && (fields.upscaling_crop ?? true);
  return {
    ...{ width: onGrid(width), height: onGrid(height), crop: cuts ? crop : undefined },
    info: defined({
      'Postprocess upscale to': isSize ? said : undefined,
      'Postprocess upscale by': isSize ? undefined : String(scale),
      'Postprocess crop to': cuts ? said : undefined,
    }),
  };
}

async function cut(upscaler: Enlarge, image: ByteImage, { width, height, crop }: Target): Promise<ByteImage> {
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

/** As a PNG in base64 that says what it was made by, and what it was before. */
export async function asPng(
  { image, info }: Enlarged,
  texts: Readonly<Record<string, string>>,
): Promise<string> {
  const made = { parameters: texts.parameters || undefined, postprocessing: sentence(info) || undefined };
  const png = await encodePng(image, defined(made));
  return Buffer.from(png).toString('base64');
}

export function sentence(info: Readonly<Record<string, string>>): string {
  return Object.entries(info)
    .map(([name, value]) => `${name}: ${value}`)
    .join(', ');
}
