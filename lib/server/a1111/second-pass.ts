/** Options of the second pass of txt2img (hires fix) from A1111's fields. */
import type { Json } from '../../jobs/json.js';
import { hiresFields } from '../../options/declarations/hires.js';
import { choiceOf } from '../../options/infotext/values.js';
import { upscalerLabel, upscalerNamed } from '../../options/upscaler-names.js';
import type { SamplerInfo } from '../../sampling/samplers/index.js';
import { failure, notSupported, quoted } from './failures.js';
import type { Txt2ImgBody } from './fields.js';
import { samplerNamed, scheduleNamed } from './samplers.js';
import type { Settings } from './settings.js';

export type Options = Record<string, Json>;

/** Returns the final prompt of a field, with styles applied. */
export type ReadPrompt = (field: string, prompt: string) => string;

/** An upscaler model of the server. */
export interface NamedUpscaler {
  readonly name: string;
}

/** Grid in pixels to which A1111 rounds sizes down. */
export const GRID = 8;

/** Returns the size, upscaler and prompts of the second pass. @throws 422 */
export function hiresOf(body: Txt2ImgBody, read: ReadPrompt, upscalers: readonly NamedUpscaler[]): Options {
  if (body.hr_checkpoint_name && !/^use isSame|^none$/i.test(body.hr_checkpoint_name))
    throw notSupported('hr_checkpoint_name', 'the second pass uses the model of the first');
  const upscaler = body.hr_upscaler ?? 'Latent';
  const declared = hiresFields.hires.fields.upscaler;
  const choice = choiceOf(declared, upscaler) ?? upscalerNamed(upscalers, upscaler)?.name;
  if (!choice)
    throw failure(
      422,
      `hr_upscaler: no upscaler is named ${quoted(upscaler)}; the upscalers are ${['None', ...Object.values(declared.labels), ...upscalers.map(({ name }) => upscalerLabel(name))].join(', ')}`,
    );
  const onGrid = (side: number | null | undefined): number => Math.floor((side ?? 0) / GRID) * GRID;
  const [width, height] = [onGrid(body.hr_resize_x), onGrid(body.hr_resize_y)];
  return {
    upscaler: choice,
    ...(width || height ? unless(0, { width, height }) : { scale: body.hr_scale ?? 2 }),
    ...unless(0, { steps: body.hr_second_pass_steps ?? 0 }),
    ...(body.hr_prompt ? { prompt: read('hr_prompt', body.hr_prompt) } : {}),
    ...(body.hr_negative_prompt ? { negative: read('hr_negative_prompt', body.hr_negative_prompt) } : {}),
  };
}

/**
 * Returns the sampler and schedule of the second pass, if they differ; Automatic selects the sampler's default
 * schedule.
 */
export function secondSampler(body: Txt2ImgBody, first: SamplerInfo, settings: Settings): Options {
  const isSame = (name: string | null | undefined): name is null | undefined | '' =>
    !name || /^use isSame/i.test(name);
  if (isSame(body.hr_sampler_name) && isSame(body.hr_scheduler)) return {};
  const named = isSame(body.hr_sampler_name)
    ? { sampler: first, schedule: undefined }
    : samplerNamed('hr_sampler_name', body.hr_sampler_name as string);
  const { sampler, schedule: suffix } = named;
  const requested = isSame(body.hr_scheduler) ? body.scheduler || 'Automatic' : (body.hr_scheduler as string);
  return {
    sampler: sampler.name,
    schedule: scheduleNamed('hr_scheduler', suffix ?? requested, sampler),
    discardPenultimate: sampler.discardsPenultimate || settings.always_discard_next_to_last_sigma,
  };
}

/** Returns the options whose value is not `inert`. */
export function unless(inert: Json, options: Readonly<Record<string, Json>>): Options {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== inert));
}
