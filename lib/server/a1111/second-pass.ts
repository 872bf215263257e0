/** The second pass of txt2img ("Hires. fix"), from A1111's fields. */
import type { Json } from '../../jobs/json.js';
import { hiresFields } from '../../options/declarations/hires.js';
import { choiceOf } from '../../options/infotext/values.js';
import type { SamplerInfo } from '../../sampling/samplers/index.js';
import { failure, notBuilt, quoted } from './failures.js';
import type { Txt2ImgBody } from './fields.js';
import { samplerNamed, scheduleNamed } from './samplers.js';
import type { Settings } from './settings.js';

export type Options = Record<string, Json>;

/** A prompt of a field as it is drawn. @throws 422 */
export type ReadPrompt = (field: string, prompt: string) => string;

/** Pixels of the grid to which A1111 rounds sizes down. */
export const GRID = 8;

/** Size, upscaler and prompts of the second pass. @throws 422 */
export function hiresOf(body: Txt2ImgBody, read: ReadPrompt): Options {
  if (body.hr_checkpoint_name && !/^use same|^none$/i.test(body.hr_checkpoint_name))
    throw notBuilt('hr_checkpoint_name', 'the second pass has the model of the first');
  const upscaler = body.hr_upscaler ?? 'Latent';
  const declared = hiresFields.hires.fields.upscaler;
  const found = choiceOf(declared, upscaler);
  if (!found)
    throw failure(
      422,
      `hr_upscaler: there is no upscaler ${quoted(upscaler)}; there are None, ${Object.values(declared.labels).join(', ')}`,
    );
  const onGrid = (side: number | null | undefined): number => Math.floor((side ?? 0) / GRID) * GRID;
  const [width, height] = [onGrid(body.hr_resize_x), onGrid(body.hr_resize_y)];
  return {
    upscaler: found,
    ...(width || height ? unless(0, { width, height }) : { scale: body.hr_scale ?? 2 }),
    ...unless(0, { steps: body.hr_second_pass_steps ?? 0 }),
    ...(body.hr_prompt ? { prompt: read('hr_prompt', body.hr_prompt) } : {}),
    ...(body.hr_negative_prompt ? { negative: read('hr_negative_prompt', body.hr_negative_prompt) } : {}),
  };
}

/** The second pass's sampler; Automatic stands for its own schedule. */
export function secondSampler(body: Txt2ImgBody, first: SamplerInfo, settings: Settings): Options {
  const same = (name: string | null | undefined): name is null | undefined | '' =>
    !name || /^use same/i.test(name);
  if (same(body.hr_sampler_name) && same(body.hr_scheduler)) return {};
  const named = same(body.hr_sampler_name)
    ? { sampler: first, schedule: undefined }
    : samplerNamed('hr_sampler_name', body.hr_sampler_name as string);
  const { sampler, schedule: own } = named;
  const asked = same(body.hr_scheduler) ? body.scheduler || 'Automatic' : (body.hr_scheduler as string);
  return {
    sampler: sampler.name,
    schedule: scheduleNamed('hr_scheduler', own ?? asked, sampler),
    discardPenultimate: sampler.discardsPenultimate || settings.always_discard_next_to_last_sigma,
  };
}

/** The entries that are not this value. */
export function unless(inert: Json, options: Readonly<Record<string, Json>>): Options {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== inert));
}
