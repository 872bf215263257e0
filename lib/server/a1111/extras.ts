/** Upscaling of images (A1111's "Extras"), by jobs of the queue like everything else that computes. */
import { resamplerNamed, type Upscalers } from '../../jobs/models/upscalers.js';
import type { JobRequest } from '../../jobs/types.js';
import { resamplers } from '../../options/declarations/upscale.js';
import { isRealEsrgan, upscalerLabel } from '../../options/upscaler-names.js';
import { failure, notSupported, quoted } from './failures.js';
import type { ExtraFields } from './fields.js';
import { base64Of } from './images.js';
import { GRID } from './second-pass.js';

/** A1111's name of no upscaling. */
const NONE = 'None';

/** Lists the upscalers as A1111 does; models that cannot be read are left out. */
export async function upscalerList(upscalers: Upscalers) {
  const builtIn = [NONE, ...Object.values(resamplers)].map((name) => ({
    ...{ name, model_name: null, model_path: null, model_url: null, scale: 4 },
  }));
  const models = (await upscalers.list()).flatMap(({ name, below, facts }) =>
    facts
      ? [
          {
            ...{ name: upscalerLabel(name), model_name: name, model_path: below, model_url: null },
            scale: facts.scale,
          },
        ]
      : [],
  );
  return [...builtIn, ...models];
}

/** Lists the Real-ESRGAN models: those that A1111 downloads, and the others in its folder for them. */
export async function realEsrganList(upscalers: Upscalers) {
  return (await upscalers.list()).flatMap(({ name, below, facts }) =>
    facts && (isRealEsrgan(name) || below.startsWith('RealESRGAN/'))
      ? [{ name: upscalerLabel(name), path: below, scale: facts.scale }]
      : [],
  );
}

/**
 * Returns the job that upscales an image; undefined if the request names no upscaler, which leaves it unchanged.
 * @throws 422 for an unknown upscaler or an unsupported field
 */
export async function upscalingJob(
  image: string,
  fields: ExtraFields,
  upscalers: Upscalers,
): Promise<JobRequest | undefined> {
  if (fields.gfpgan_visibility) throw notSupported('gfpgan_visibility', 'set it to 0');
  if (fields.codeformer_visibility) throw notSupported('codeformer_visibility', 'set it to 0');
  const upscaler = await nameOf('upscaler_1', fields.upscaler_1, upscalers);
  const second = await nameOf('upscaler_2', fields.upscaler_2, upscalers);
  const visibility = fields.extras_upscaler_2_visibility ?? 0;
  if (upscaler === undefined) return undefined;
  return {
    ...{ type: 'upscale', client: 'a1111' },
    options: {
      ...{ image: base64Of(image), upscaler, multiple: GRID, ...sizeOf(fields) },
      ...(second !== undefined && visibility > 0 ? { second: { upscaler: second, visibility } } : {}),
    },
  };
}

function sizeOf(fields: ExtraFields): JobRequest['options'] {
  if (fields.resize_mode !== 1) return { scale: fields.upscaling_resize ?? 2 };
  const { upscaling_resize_w: w, upscaling_resize_h: h, upscaling_crop: crop } = fields;
  return { size: { width: Math.max(1, w ?? 512), height: Math.max(1, h ?? 512) }, crop: crop ?? true };
}

async function nameOf(
  field: string,
  name: string | null | undefined,
  upscalers: Upscalers,
): Promise<string | undefined> {
  if (!name || name === NONE) return undefined;
  const found = resamplerNamed(name) ?? (await upscalers.find(name).catch(() => undefined))?.name;
  if (found !== undefined) return found;
  const names = (await upscalerList(upscalers)).map((upscaler) => upscaler.name);
  throw failure(422, `${field}: no upscaler is named ${quoted(name)}; the upscalers are ${names.join(', ')}`);
}
